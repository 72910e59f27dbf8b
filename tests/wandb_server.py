"""A server on this machine that says what wandb expects to hear, and keeps what it is sent."""

import gzip
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "0" * 40
VIEWER = {"id": "u", "username": "u", "entity": "team", "flags": "{}", "teams": {"edges": []}}
ARTIFACT = {"id": "a", "state": "COMMITTED", "artifactSequence": {"latestArtifact": {"id": "a"}}}
PROJECT = {"id": "p", "name": "p", "entityName": "team", "createdAt": "", "isBenchmark": False, "user": None}
ENTITY = {"id": "e", "name": "team"}


class Server:
    """Answers the requests that start, fill and end a run.

    Attributes:
        silent: requests whose body holds this text are never answered, all of them after `die`.
        runs: variables of each request that made or changed a run.
        lines: of each file that was streamed, such as `wandb-history.jsonl`, by run.
        views: variables of each request that saved a workspace or a report.
    """

    def __init__(self, silent: str = "nothing that is asked") -> None:
        self.silent = silent.encode()
        self.runs: list[dict[str, Any]] = []
        self.lines: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.views: list[dict[str, Any]] = []
        self._closed = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self._hear))
        self._http.daemon_threads = True
        self._http.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that went away
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def die(self) -> None:
        """Answer nothing from now on."""
        self.silent = b""

    def close(self) -> None:
        self._closed.set()
        self._http.shutdown()
        self._http.server_close()

    def _hear(self, path: str, body: bytes) -> dict[str, Any]:
        if self.silent in body:
            self._closed.wait()
        if path.endswith("/graphql"):
            asked = json.loads(body)
            return {"data": self._answer(asked["query"], asked.get("variables") or {})}
        if path.endswith("/file_stream"):
            for name, part in json.loads(body).get("files", {}).items():
                if name.endswith(".jsonl"):
                    found = self.lines.setdefault((path.split("/")[-2], name), [])
                    found[part["offset"] :] = map(json.loads, part["content"])
        return {}

    def _answer(self, text: str, given: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = {}
        if "viewer" in text:
            answer["viewer"] = VIEWER
        if "serverInfo" in text:
            answer["serverInfo"] = {"cliVersionInfo": {"max_cli_version": "99"}, "features": []}
        if "upsertBucket" in text:
            self.runs.append(given)
            project = {"id": "p", "name": "project", "entity": ENTITY}
            history = self.lines.get((given["name"], "wandb-history.jsonl"), [])
            bucket = {"id": "b", "name": given["name"], "displayName": "run", "historyLineCount": len(history)}
            answer["upsertBucket"] = {"bucket": {**bucket, "project": project}, "inserted": len(self.runs) == 1}
        if "RunResumeStatus" in text:
            answer["model"] = {"id": "p", "name": "project", "entity": ENTITY, "bucket": self._bucket(given["name"])}
        if "createRunFiles" in text:
            files = [{"name": name, "uploadUrl": f"{self.url}/up/{name}"} for name in given["files"]]
            answer["createRunFiles"] = {"runID": "b", "uploadHeaders": [], "files": files}
        if "createArtifact" in text:
            answer["createArtifact"] = {"artifact": ARTIFACT}
        if "upsertView" in text:
            self.views.append(given)
            kept = {key: given[key] for key in ("name", "displayName", "description", "type", "spec")}
            view = {"id": f"VmlldzoxMj{len(self.views)}", **kept}
            answer["upsertView"] = {"view": view, "inserted": True}
        if "GetProjects" in text:
            page = {"endCursor": None, "hasNextPage": False}
            answer["models"] = {"edges": [{"node": PROJECT}], "pageInfo": page}
        if "internalId" in text:
            answer["project"] = {"id": "p", "internalId": "UHJvamVjdEludGVybmFsSWQ6MQ=="}
        return answer

    def _bucket(self, run: str) -> dict[str, Any] | None:
        """What the server knows of a run that somebody wants to go on with."""
        history = self.lines.get((run, "wandb-history.jsonl"))
        if not history:
            return None
        tails = {"historyTail": json.dumps([json.dumps(history[-1])]), "eventsTail": "[]"}
        counts = {"historyLineCount": len(history), "eventsLineCount": 0, "logLineCount": 0}
        return {"id": "b", "name": run, "summaryMetrics": "{}", "config": "{}", "tags": [], **counts, **tails}


def _handler(hear: Callable[[str, bytes], dict[str, Any]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            answer = json.dumps(hear(self.path, body)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_PUT = do_GET = do_POST  # noqa: N815

        def log_message(self, format: str, *words: Any) -> None:
            """Stay silent."""

    return Handler
