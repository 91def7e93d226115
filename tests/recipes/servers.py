"""The servers of kubectl, gcloud and doppler, for one secret each kind of answer. Says its port, and ends with its input.

The answers are those of the services' documentation: Kubernetes, "API concepts" and the type Status of its API reference;
Google Cloud, "Secret Manager: REST, projects.secrets.versions.access" and google.rpc.Code; Doppler, "Secrets: download".
"""

import base64
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

VALUES = json.loads(sys.argv[1])


def in_base64(text):
    return base64.b64encode(text.encode()).decode()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def kubernetes(name):
    # What kube-apiserver 1.36.3 says.
    def status(code, reason, message):
        details = {"name": name, "kind": "secrets"}
        return code, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                      "message": message, "reason": reason, "details": details, "code": code}

    if name == "prod":
        data = {key: in_base64(value) for key, value in VALUES.items()}
        return 200, {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": name}, "data": data}
    if name == "bare":
        return 200, {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": name}, "type": "Opaque"}
    if name == "forbidden":
        who = 'User "u" cannot get resource "secrets" in API group "" in the namespace "default"'
        return status(403, "Forbidden", f'secrets "{name}" is forbidden: {who}')
    if name == "unauthorized":
        return status(401, "Unauthorized", "Unauthorized")
    return status(404, "NotFound", f'secrets "{name}" not found')


def google(name):
    def error(code, status, message):
        return code, {"error": {"code": code, "message": message, "status": status}}

    value = VALUES.get(name.removeprefix("prod-"))
    if value is not None:
        payload = {"data": in_base64(value), "dataCrc32c": str(crc32c(value.encode()))}
        return 200, {"name": f"projects/1/secrets/{name}/versions/1", "payload": payload}
    if name == "forbidden":
        what = f"projects/p/secrets/{name}/versions/latest' (or it may not exist)."
        return error(403, "PERMISSION_DENIED", f"Permission 'secretmanager.versions.access' denied for resource '{what}")
    if name == "disabled":
        what = f"Secret Version [projects/1/secrets/{name}/versions/1] is in DISABLED state."
        return error(400, "FAILED_PRECONDITION", what)
    return error(404, "NOT_FOUND", f"Secret [projects/1/secrets/{name}] not found or has no versions.")


def doppler(token):
    if token != "Bearer dp.st.good":
        return 401, {"messages": ["Invalid Service token"], "success": False}
    names = {f"PROD_{name.upper()}": value for name, value in VALUES.items()}
    secrets = {name: {"raw": value, "computed": value} for name, value in names.items()}
    return 200, {"secrets": secrets, "success": True}


class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        path = urlsplit(self.path).path
        name = path.rsplit("/", 1)[-1]
        if path == "/api":
            answer = 200, {"kind": "APIVersions", "versions": ["v1"]}
        elif path == "/apis":
            answer = 200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": []}
        elif path == "/api/v1":
            secrets = {"name": "secrets", "singularName": "secret", "namespaced": True, "kind": "Secret", "verbs": ["get"]}
            answer = 200, {"kind": "APIResourceList", "groupVersion": "v1", "resources": [secrets]}
        elif path == "/api/v1/namespaces/default":
            # kubectl 1.32 looks at the namespace, too, where it finds no Secret.
            answer = 200, {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name}}
        elif path.startswith("/api/v1/namespaces/"):
            answer = kubernetes(name)
        elif path.endswith(":access"):
            answer = google(path.split("/secrets/")[1].split("/")[0])
        else:
            answer = doppler(self.headers["Authorization"])
        body = json.dumps(answer[1]).encode()
        self.send_response(answer[0])
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
