"""Make a service send a code by mail, wait for the mail, and print the code.

Needs `pip install 'pymailbox[watch]'`, PYMAILBOX_URL and PYMAILBOX_PASSWORD.
"""

import re
import subprocess
import sys

from pymailbox import Account, Arrival, Watch

REQUEST = ["sh", "request-code.sh"]  # what makes the service send the code
CODE = re.compile(r"\b\d{6}\b")


def has_code(mail: Arrival) -> bool:
    """Whether a mail is the one that is waited for."""
    return "code" in mail.subject.lower() and CODE.search(mail.body) is not None


with Watch(Account.from_env(), every=5) as watch:  # mail that is there does not count
    subprocess.run(REQUEST, check=True)
    try:
        mail = watch.wait(has_code, timeout=120)
    except TimeoutError as error:
        sys.exit(f"no code: {error}")
print(CODE.findall(mail.body)[0])
