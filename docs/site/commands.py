"""The commands of a page: found in its code blocks, and parsed as the command line would."""

from __future__ import annotations

import re
import shlex

from tests.command_lines import parse


def commands(text: str) -> list[list[str]]:
    """The words of every command line in a page's code blocks; comments and redirections cut, continuations joined."""
    result = []
    for language, block in re.findall(r"```([a-z]*)[^\n]*\n(.*?)```", text, re.S):
        if language in ("python", "math", "json", "yaml"):
            continue
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True) if not line.startswith(("{", "[")) else []
            if words:
                result.append(words[: words.index(">")] if ">" in words else words)
    return result


def verb_of(words: list[str]) -> list[str] | None:
    """The arguments of a raytrain command, also where it is a job, whoever submits it; None of another program."""
    if words[0] == "raytrain" and len(words) > 1 and words[1] != "submit":
        return words[1:]
    if "--" in words and words[words.index("--") + 1] == "raytrain":
        return words[words.index("--") + 2 :]
    jobs = [i for i, word in enumerate(words) if re.fullmatch(r"jobs/\w+\.py", word)]
    if jobs:
        verb = re.sub(r"jobs/|\.py", "", words[jobs[0]])
        return [*(["data", "encode"] if verb == "encode" else [verb]), *words[jobs[0] + 1 :]]
    return None


def broken_commands(text: str) -> list[str]:
    """ "raytrain trian: no verb 'trian'" of each command of a page that the command line does not take."""
    broken = []
    for words in commands(text):
        arguments = words[1:] if words[:2] == ["raytrain", "submit"] else verb_of(words)
        if arguments is None:
            continue
        try:
            parse(arguments)
        except Exception as error:  # Typer's and raytrain's own, whose common base is Exception
            broken.append(f"{' '.join(words)}: {error or type(error).__name__}")
    return broken
