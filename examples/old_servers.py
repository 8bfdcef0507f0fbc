"""Find out what an odd server really does, then save its mail with careful options.

Needs PYMAILBOX_URL and PYMAILBOX_PASSWORD.
"""

from pymailbox import Account, Mailbox, MailboxError, diagnose

DIRECTORY = "saved/"

account = Account.from_env()
print(diagnose(Mailbox.from_account(account, read_only=True)).text())
careful = Mailbox.from_account(
    account,
    read_only=True,  # send no QUIT, after which some servers delete what was read
    timeout=120,  # seconds of silence
    capa=False,  # do not ask for capabilities
    pipelining=False,  # one command at a time
    top=False,  # headers from RETR
    utf8=False,
)
with careful as inbox:
    for message in inbox:
        try:
            print(message.save(DIRECTORY))
        except MailboxError as error:
            if not error.usable:  # the session is over
                raise
            print(f"message {message.number}: {error}")
