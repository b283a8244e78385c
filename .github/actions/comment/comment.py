"""Write what a check found as a comment on its pull request; nothing but Python is needed.

The text comes from a job that runs what anybody's pull request brings, so it is taken apart here and put together
again: nothing in it can be a link, an image, HTML or a mention. Which pull request it belongs to is asked of GitHub.

https://docs.github.com/en/actions/reference/security/secure-use
"""

import html
import json
import os
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

AUTHOR = "github-actions[bot]"  # whom the token of a workflow writes as
LONGEST = 60_000  # characters; GitHub takes 65,536
PLAIN = frozenset(" .,;+-%/()=")  # marks that mean nothing within a line


def main(file: Path) -> None:
    run = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text("utf-8"))["workflow_run"]
    if run["event"] != "pull_request" or run["head_repository"] is None:
        print("The workflow was not started by a pull request whose repository is there.")
        return
    marker = f"<!-- bench check {run['workflow_id']} -->"
    text = file.read_text("utf-8", errors="replace") if file.is_file() and not file.is_symlink() else ""
    body = f"{marker}\n{heading(run)}\n\n{inert(text)}"
    for number in pull_requests(run):
        url = f"/repos/{os.environ['GITHUB_REPOSITORY']}/issues/{number}/comments"
        earlier = [one for one in pages(url) if one["user"]["login"] == AUTHOR and one["body"].startswith(marker)]
        if earlier:
            ask("PATCH", earlier[0]["url"].removeprefix(os.environ["GITHUB_API_URL"]), {"body": body})
        else:
            ask("POST", url, {"body": body})
        print(f"Written to pull request {number}.")


def heading(run: dict[str, Any]) -> str:
    said = {"success": "passed", "failure": "failed"}.get(run["conclusion"], "did not end")
    return f"**bench check {said}** at {run['head_sha'][:10]} ([log and summary]({run['html_url']}))"


def pull_requests(run: dict[str, Any]) -> list[int]:
    """Open pull requests that still end in the commit that was checked; none if it was pushed to since."""
    head = f"{run['head_repository']['owner']['login']}:{run['head_branch']}"
    found = pages(f"/repos/{os.environ['GITHUB_REPOSITORY']}/pulls", state="open", head=head)
    return [one["number"] for one in found if one["head"]["sha"] == run["head_sha"]]


def inert(text: str) -> str:
    """Tables stay tables; of everything else only the words are left, a paragraph a line."""
    parts, length, in_table = [], 0, False
    for line in filter(None, map(str.strip, text.splitlines())):
        is_row = line.startswith("|")
        part = ("" if is_row and in_table else "\n") + (row(line) if is_row else words(line.lstrip("#> "))) + "\n"
        in_table, length = is_row, length + len(part)
        if length > LONGEST:
            parts.append("\nThe rest is in the summary.\n")
            break
        parts.append(part)
    return "".join(parts).strip() or "It left no table."


def row(line: str) -> str:
    cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))]
    rule = all(re.fullmatch(":?-+:?", cell) for cell in cells)
    return f"| {' | '.join(cells if rule else map(words, cells))} |"


def words(text: str) -> str:
    """Text that shows as it is: marks are character references, a blank of no width breaks what GitHub would link."""
    plain = re.sub(r"\\([\\|*_(:])", r"\1", html.unescape(text)).replace("**", "")
    plain = "".join(character for character in plain if character.isprintable())
    broken = re.sub("(?i)@|#|www|gh(?=-)", lambda found: f"{found[0]}\u200b", plain)
    return "".join(c if not c.isascii() or c.isalnum() or c in PLAIN else f"&#{ord(c)};" for c in broken)


def pages(path: str, **query: str) -> list[Any]:
    """All entries of a list."""
    found: list[Any] = []
    while len(found) % 100 == 0:
        more = ask("GET", f"{path}?{urlencode(query | {'per_page': 100, 'page': len(found) // 100 + 1})}")
        if not more:
            break
        found += more
    return found


def ask(method: str, path: str, content: dict[str, str] | None = None) -> Any:
    request = urllib.request.Request(
        os.environ["GITHUB_API_URL"] + path,
        method=method,
        data=None if content is None else json.dumps(content).encode(),
        headers={"Authorization": f"Bearer {os.environ['GITHUB_TOKEN']}", "Accept": "application/vnd.github+json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        sys.exit(f"GitHub answers {error.code} to {method} {path}: {error.read(500).decode('utf-8', 'replace')}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
