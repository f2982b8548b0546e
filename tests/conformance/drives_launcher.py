"""Runs jobs through a launcher of its own, as whatever user starts it: `drives_launcher.py FOLDER OPTIONS_JSON`.

Needs the standard library only, for any user's Python. It answers each line of input, JSON, by one: `["start", spec]`
with the launcher's reply, `["wait", job_id]` with the job's end. At the end of the input it ends everything.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from callboard.executors.launcher import protocol


def main() -> None:
    folder = Path(sys.argv[1])
    module = "callboard.executors.launcher"
    subprocess.run([sys.executable, "-m", module, str(folder), sys.argv[2]], check=True)
    connection = protocol.connect(folder)
    messages = _messages(connection.makefile("rb"))
    ended: dict[str, Any] = {}

    def ask(**message: Any) -> Any:
        connection.sendall(protocol.encode({"n": 1, **message}))
        return until(lambda answer: "reply" in answer)

    def until(wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        while True:
            answer = next(messages)
            if "exited" in answer:
                ended[answer["exited"]] = answer["exit"]
            if wanted(answer):
                return answer

    _say(ask(do="list"))
    for line in sys.stdin:
        do, what = json.loads(line)
        if do == "start":
            _say(ask(do="start", spec=what))
            continue
        if what not in ended:
            until(lambda answer, job_id=what: answer.get("exited") == job_id)
        _say(ended[what])
    ask(do="shutdown", kill=True)
    for _ in messages:  # until it is gone
        pass


def _messages(stream: Any) -> Iterator[dict[str, Any]]:
    for line in stream:
        yield json.loads(line)


def _say(what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
