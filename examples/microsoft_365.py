"""Print an access token for the POP mail of a Microsoft 365 or Outlook.com account.

Needs `pip install msal`, CLIENT_ID, the id of your registered application, and
PYMAILBOX_USER, the address. The first run says where to sign in; later ones need
nobody, because the file CACHE keeps the login.
"""

import os
import sys
from pathlib import Path

import msal

SCOPES = ["https://outlook.office.com/POP.AccessAsUser.All"]
AUTHORITY = "https://login.microsoftonline.com/common"  # or /consumers, or /TENANT
CACHE = Path("~/.pymailbox-msal.json").expanduser()

user = os.environ["PYMAILBOX_USER"]
cache = msal.SerializableTokenCache()
if CACHE.exists():
    cache.deserialize(CACHE.read_text("utf-8"))
app = msal.PublicClientApplication(
    os.environ["CLIENT_ID"], authority=AUTHORITY, token_cache=cache
)
known = app.get_accounts(username=user)
result = app.acquire_token_silent(SCOPES, account=known[0]) if known else None
if not result:
    flow = app.initiate_device_flow(SCOPES)
    print(flow.get("message", flow), file=sys.stderr)
    result = app.acquire_token_by_device_flow(flow)
if cache.has_state_changed:
    CACHE.touch(mode=0o600)
    CACHE.write_text(cache.serialize(), "utf-8")
if "access_token" not in result:
    sys.exit(f"no token: {result.get('error_description', result)}")
print(result["access_token"])
