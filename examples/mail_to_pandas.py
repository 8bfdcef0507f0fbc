"""Make a pandas table of an account: one row for each message, from its header.

Needs `pip install pymailbox pandas`, PYMAILBOX_URL and PYMAILBOX_PASSWORD.
"""

import pandas as pd
from pymailbox import Account, Mailbox

with Mailbox.from_account(Account.from_env(), read_only=True) as inbox:
    rows = [
        {
            "date": message.date,
            "from": message.from_.email if message.from_ else None,
            "subject": message.subject,
            "size": message.size,
            "uid": message.uid,
        }
        for message in inbox
    ]
table = pd.DataFrame(rows)
table["date"] = pd.to_datetime(table["date"], utc=True)
table.to_csv("mail.csv", index=False)
senders = table.groupby("from")["size"].agg(["count", "sum"])
print(senders.sort_values("sum", ascending=False))
