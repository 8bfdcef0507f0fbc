"""Make a service send a code by mail, wait for the mail, and print the code.

Needs `pip install 'pymailbox[watch]'`, PYMAILBOX_URL and PYMAILBOX_PASSWORD.
"""

import re
import subprocess
import sys

from pymailbox import Account, Watch

REQUEST = ["sh", "request-code.sh"]  # what makes the service send the code
CODE = re.compile(r"\b\d{6}\b")

with Watch(Account.from_env(), every=5) as watch:  # what is in the mailbox now does not count
    subprocess.run(REQUEST, check=True)
    try:
        mail = watch.wait(lambda mail: "code" in mail.subject.lower() and CODE.search(mail.body), timeout=120)
    except TimeoutError as error:
        sys.exit(f"no code: {error}")
print(CODE.findall(mail.body)[0])
