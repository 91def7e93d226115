"""A server of Bitwarden for one account, whose items have the ids of `item`. Says its port, and ends with its input.

It encrypts as a client does ("Bitwarden Security White Paper") and answers as vaultwarden 1.37.2 does. In its arguments: a
directory for its certificate, cert.pem, and the passwords of the first items, in JSON. The items after them: one with all
fields, one without a password, one that asks again for the master password, one that cannot be decrypted, one in the trash.
"""

import base64
import hashlib
import hmac
import json
import os
import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

DIRECTORY, PASSWORDS = sys.argv[1], json.loads(sys.argv[2])
EMAIL, PASSWORD, ITERATIONS = "trader@example.org", b"master pw", 5000
DATE = "2026-11-26T01:02:03.000000Z"


def openssl(*arguments, data=b""):
    return subprocess.run(["openssl", *arguments], input=data, check=True, capture_output=True).stdout


def in_base64(data):
    return base64.b64encode(data).decode()


def encrypted(key, data):
    iv = os.urandom(16)
    text = openssl("enc", "-aes-256-cbc", "-K", key[:32].hex(), "-iv", iv.hex(), data=data)
    mac = hmac.digest(key[32:], iv + text, "sha256")
    return "2." + "|".join(map(in_base64, (iv, text, mac)))


MASTER = hashlib.pbkdf2_hmac("sha256", PASSWORD, EMAIL.encode(), ITERATIONS)
HASH = in_base64(hashlib.pbkdf2_hmac("sha256", MASTER, PASSWORD, 1))
USER = os.urandom(64)
KEY = encrypted(b"".join(hmac.digest(MASTER, info, "sha256") for info in (b"enc\1", b"mac\1")), USER)
PRIVATE = openssl("pkcs8", "-topk8", "-nocrypt", "-outform", "DER", data=openssl("genpkey", "-algorithm", "RSA"))
PUBLIC = in_base64(openssl("pkey", "-inform", "DER", "-pubout", "-outform", "DER", data=PRIVATE))
PRIVATE = encrypted(USER, PRIVATE)


def hidden(text):
    return None if text is None else encrypted(USER, text.encode())


def item(password, username=None, notes=None, uri=None, fields=(), reprompt=0, deleted=None):
    number = len(ITEMS)
    uris = uri and [{"uri": hidden(uri), "match": None}]
    login = {"username": hidden(username), "password": hidden(password), "totp": None, "uris": uris}
    fields = [{"type": 0, "name": hidden(name), "value": hidden(value)} for name, value in fields]
    ITEMS.append({
        "object": "cipherDetails", "id": f"{number:08}-6a9e-4c44-b1c7-0d6ae1d6a2c5", "type": 1, "login": login,
        "name": hidden(f"item {number}"), "notes": hidden(notes), "fields": fields or None, "reprompt": reprompt,
        "creationDate": DATE, "revisionDate": DATE, "deletedDate": deleted, "organizationId": None, "folderId": None,
        "key": None, "attachments": None, "collectionIds": [], "passwordHistory": [], "favorite": False, "edit": True,
        "viewPassword": True, "organizationUseTotp": True, "permissions": {"delete": True, "restore": True},
    })


ITEMS = []
for one in PASSWORDS:
    item(one)
own = [("access-token-id", "not the token"), ("token", "T0K"), ("Pin", "42")]
item("pw", username="bob", notes="one\ntwo\n", uri="https://bank.example", fields=own)
item(None, username="bob")
item("asks", reprompt=1)
item("broken", username="bob")
parts = ITEMS[-1]["login"]["password"].split("|")
ITEMS[-1]["login"]["password"] = "|".join([*parts[:2], in_base64(bytes(32))])
item("gone", deleted=DATE)

KDF = {"kdfType": 0, "iterations": ITERATIONS, "memory": None, "parallelism": None}
UNLOCK = {"kdf": KDF, "masterKeyEncryptedUserKey": KEY, "masterKeyWrappedUserKey": KEY, "salt": EMAIL}
PAIR = {"wrappedPrivateKey": PRIVATE, "publicKey": PUBLIC, "signedPublicKey": None, "object": "publicKeyEncryptionKeyPair"}
KEYS = {"publicKeyEncryptionKeyPair": PAIR, "securityState": None, "signatureKeyPair": None, "object": "privateKeys"}
ID = "0f5fb5d2-6a9e-4c44-b1c7-0d6ae1d6a2c5"


def upper(value):
    if isinstance(value, dict):
        return {key[0].upper() + key[1:]: upper(inner) for key, inner in value.items()}
    return value


def prelogin():
    return {"kdf": 0, "kdfIterations": ITERATIONS, "kdfMemory": None, "kdfParallelism": None, "kdfSettings": KDF, "salt": None}


def token():
    claims = {"nbf": 0, "exp": 4102444800, "sub": ID, "premium": True, "name": "trader", "email": EMAIL,
              "email_verified": True, "sstamp": ID, "scope": ["api", "offline_access"], "amr": ["Application"]}
    parts = [{"typ": "JWT", "alg": "RS256"}, claims, {}]
    jwt = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    options = {"HasMasterPassword": True, "MasterPasswordUnlock": upper(UNLOCK), "Object": "userDecryptionOptions"}
    return {"access_token": jwt, "expires_in": 7200, "token_type": "Bearer", "refresh_token": jwt, "Key": KEY,
            "PrivateKey": PRIVATE, "Kdf": 0, "KdfIterations": ITERATIONS, "KdfMemory": None, "KdfParallelism": None,
            "ResetMasterPassword": False, "ForcePasswordReset": False, "scope": "api offline_access", "AccountKeys": KEYS,
            "MasterPasswordPolicy": {"Object": "masterPasswordPolicy"}, "UserDecryptionOptions": options}


def sync():
    profile = {"_status": 0, "accountKeys": KEYS, "id": ID, "name": "trader", "email": EMAIL, "emailVerified": True,
               "premium": True, "premiumFromOrganization": False, "culture": "en-US", "twoFactorEnabled": False, "key": KEY,
               "privateKey": PRIVATE, "securityStamp": ID, "organizations": [], "providers": [], "creationDate": DATE,
               "providerOrganizations": [], "forcePasswordReset": False, "avatarColor": None, "usesKeyConnector": False,
               "object": "profile"}
    return {"profile": profile, "folders": [], "collections": [], "policies": [], "ciphers": ITEMS, "domains": None,
            "sends": [], "userDecryption": {"masterPasswordUnlock": UNLOCK}, "object": "sync"}


def answer(path, form):
    if path == "/identity/connect/token":
        right = form.get("password", [HASH]) == [HASH]
        return (200, token()) if right else (400, {"error": "invalid_grant", "error_description": "invalid_username_or_password",
                                                   "ErrorModel": {"Message": "Username or password is incorrect. Try again",
                                                                  "Object": "error"}})
    if path.startswith("/identity/accounts/prelogin"):
        return 200, prelogin()
    if path == "/api/sync":
        return 200, sync()
    if path == "/api/accounts/revision-date":
        return 200, 0
    if path == "/api/accounts/key-management/user-key-id":
        return 200, {}
    if path == "/api/config":
        server = {"name": "Vaultwarden", "url": "https://github.com/dani-garcia/vaultwarden"}
        return 200, {"version": "2026.6.0", "gitHash": None, "server": server, "settings": {"disableUserRegistration": False},
                     "environment": {}, "featureStates": {}, "object": "config"}
    return 404, {"message": "", "object": "error"}


class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        sent = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
        code, content = answer(urlsplit(self.path).path, parse_qs(sent))
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT = do_GET

    def log_message(self, *_):
        pass


certificate, key = (os.path.join(DIRECTORY, name) for name in ("cert.pem", "key.pem"))
openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-subj", "/CN=localhost",
        "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE")
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
