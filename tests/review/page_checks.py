"""What every page that raytrain writes has to be: valid, self-contained, in order, readable, and labelled."""

from __future__ import annotations

import base64
import hashlib
import html
import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest

TEXT_CONTRAST, MARK_CONTRAST = 4.5, 3.0
"""WCAG 2.2 AA, of text and of the parts of a drawing."""
SURFACES = ("page", "card", "head", "best", "right-fill")
"""Variables of the styles on which text stands."""
MARKS = (*(f"s{number}" for number in range(8)), "accent", "faint")
LOADING = {"src", "href", "srcset", "data", "poster", "action", "formaction", "background", "xlink:href"}


def check_page(page: str) -> None:
    """Fails with the first thing that is wrong with a page."""
    html5lib = pytest.importorskip("html5lib", reason="html5lib parses the page as browsers do")
    parser = html5lib.HTMLParser(namespaceHTMLElements=False)
    root = parser.parse(page)
    assert not parser.errors, [(place, error) for place, error, _ in parser.errors][:5]
    _check_self_contained(root)
    _check_policy(root)
    _check_order(root)
    _check_labels(root)
    _check_tables(root)
    check_contrast("".join(style.text or "" for style in root.iter("style")))


def _text(element: Element) -> str:
    return "".join(element.itertext()).strip()


def _elements(root: Element) -> Iterator[Element]:
    """All of them but comments."""
    return (element for element in root.iter() if isinstance(element.tag, str))


def _check_self_contained(root: Element) -> None:
    for element in _elements(root):
        for name, value in element.attrib.items():
            plain_name = name[-1] if isinstance(name, tuple) else str(name).rpartition("}")[2]
            if plain_name in LOADING:
                inside = re.match(r"#|data:image/(png|jpeg|webp|svg\+xml)[;,]", value)
                beside = not re.match(r"[a-z][a-z0-9+.-]*:|//", value, re.IGNORECASE) and element.tag == "a"
                assert inside or beside, f"<{element.tag} {name}={value[:80]!r}> leaves the page"
            assert not plain_name.startswith("on"), f"<{element.tag} {name}> is script in an attribute"
        assert element.tag not in ("iframe", "object", "embed", "base", "link"), element.tag
    for style in root.iter("style"):
        assert not re.search(r"@import|url\((?!['\"]?data:)", style.text or "")


def _check_policy(root: Element) -> None:
    (policy,) = (m.attrib["content"] for m in root.iter("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "unsafe-eval" not in policy and "http" not in policy and "*" not in policy
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        allowed = next((part for part in policy.split("; ") if part.startswith(directive)), "")
        for element in root.iter(tag):
            digest = base64.b64encode(hashlib.sha256((element.text or "").encode()).digest()).decode()
            by_hash = f"'sha256-{digest}'" in allowed
            assert by_hash or (tag == "style" and "'unsafe-inline'" in allowed), f"the policy forbids a <{tag}>"
    assert "script-src 'unsafe-inline'" not in policy
    if "'unsafe-inline'" not in policy:
        assert not [element.tag for element in _elements(root) if element.get("style")]


def _check_order(root: Element) -> None:
    (whole,) = [root] if root.tag == "html" else root.iter("html")
    assert whole.get("lang") and _text(next(root.iter("title")))
    assert len(list(root.iter("main"))) == 1
    levels = [int(element.tag[1]) for element in _elements(root) if re.fullmatch("h[1-6]", element.tag)]
    assert levels[:1] == [1] and levels.count(1) == 1, levels
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels)), levels
    identities = [element.attrib["id"] for element in _elements(root) if element.get("id")]
    assert len(identities) == len(set(identities)), "an id stands twice"
    targets = {e.attrib["href"][1:] for e in root.iter("a") if e.get("href", "").startswith("#")}
    assert targets <= set(identities), f"links lead nowhere: {targets - set(identities)}"


def _check_labels(root: Element) -> None:
    inside_labels = {id(part) for label in root.iter("label") if _text(label) for part in label.iter()}
    labelled = {label.get("for") for label in root.iter("label") if _text(label)}
    for element in _elements(root):
        tag = element.tag.rpartition("}")[2]  # drawings have a namespace
        name = element.get("aria-label") or element.get("aria-labelledby") or ""
        if tag == "img":
            assert element.get("alt") is not None, "a picture without an alt text"
        elif tag == "svg" and element.get("aria-hidden") != "true":
            assert element.get("role") == "img" and name, "a drawing without a text"
        elif tag in ("input", "select", "textarea") and element.get("type") != "hidden":
            assert id(element) in inside_labels or element.get("id") in labelled or name, f"<{tag}> has no label"
        elif tag in ("button", "a", "summary", "th", "figcaption", "caption"):
            assert _text(element) or name, f"an empty <{tag}>"
        if element.get("role") == "region":
            assert name


def _check_tables(root: Element) -> None:
    for table in root.iter("table"):
        assert _text(next(table.iter("caption"), Element("caption"))) or table.get("aria-label")
        heads = list(table.iter("th"))
        assert heads and all(head.get("scope") in ("col", "row", "colgroup", "rowgroup") for head in heads)


def check_contrast(style: str) -> None:
    """Fails where text would be hard to read, or a mark hard to see, in the light or the dark colours of a style."""
    texts = set(re.findall(r"(?<![\w-])color:\s*([^;}\s]+)", style)) - {"currentColor", "inherit"}
    for colours in _schemes(style):
        surfaces = [colours[name] for name in SURFACES if name in colours]
        assert surfaces
        for text in texts:
            for surface in surfaces:
                ratio = contrast(_resolved(text, colours), surface)
                assert ratio >= TEXT_CONTRAST, f"{text} on {surface}: {ratio:.2f}"
        for mark in MARKS:
            if mark in colours:
                ratio = contrast(colours[mark], colours["card"])
                assert ratio >= MARK_CONTRAST, f"--{mark} on --card {colours['card']}: {ratio:.2f}"


def _schemes(style: str) -> list[dict[str, str]]:
    """The variables of the light colours, and of the dark ones."""
    light: dict[str, str] = {}
    dark: dict[str, str] = {}
    for media, block in re.findall(r"(@media[^{]*{\s*)?:root\s*{([^}]*)}", style):
        (dark if "prefers-color-scheme" in media else light).update(re.findall(r"--([\w-]+):\s*([^;}\s]+)", block))
    assert light and dark, "light and dark colours"
    return [light, light | dark]


def _resolved(colour: str, colours: dict[str, str]) -> str:
    name = re.fullmatch(r"var\(--([\w-]+)\)", colour)
    return colours[name[1]] if name else colour


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, from 1 to 21 (WCAG 2.2)."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    digits = colour.removeprefix("#")
    assert re.fullmatch("[0-9a-fA-F]{3}|[0-9a-fA-F]{6}", digits), f"no colour in hexadecimal digits: {colour}"
    wide = digits if len(digits) == 6 else "".join(2 * digit for digit in digits)
    parts = [int(wide[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def in_chromium(page: str, folder: Path, actions: str, width: int = 1400, dark: bool = False) -> str:
    """What a script leaves in `results`, as JSON, after it has run in a page that headless chromium has loaded.

    The page's own script runs under the page's policy; the actions are added to that policy by their hash.

    Args:
        folder: for the page.
        actions: script; it has to declare `results`, and may wait.
        width: of the window, in pixels; chromium's are at least 500 wide.
        dark: whether the reader prefers dark colours.
    """
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium on this machine")
    script = f"(async () => {{{actions}\ndocument.title = 'done'; const out = document.createElement('pre'); "
    script += "out.id = 'results'; out.textContent = JSON.stringify(results); document.body.append(out); })();"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    opened = page.replace("script-src ", f"script-src 'sha256-{digest}' ", 1)
    path = folder / "page.html"
    path.write_text(opened.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},1200"]
    command += [f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=30000", "--dump-dom"]
    command += ["--blink-settings=preferredColorScheme=0"] if dark else []
    done = subprocess.run([*command, path.as_uri()], capture_output=True, text=True, timeout=120)
    results = re.search(r'<pre id="results">(.*?)</pre>', done.stdout, re.DOTALL)
    assert results, done.stderr[-2000:]
    return html.unescape(results[1])


def axe_violations(page: str, folder: Path, width: int = 1400, dark: bool = False) -> list[str]:
    """What axe finds in a page: rule, and the first element that breaks it."""
    package = pytest.importorskip("axe_core_python", reason="axe_core_python brings axe")
    (axe,) = Path(package.__file__).parent.rglob("axe.min.js")
    actions = axe.read_text(encoding="utf-8").replace("</script", "<\\/script") + (
        "\nconst found = await axe.run({resultTypes: ['violations']}); "
        "const results = found.violations.map(v => `${v.id}: ${v.nodes.length} x ${v.nodes[0].html.slice(0, 200)}`);"
    )
    return list(json.loads(in_chromium(page, folder, actions, width, dark)))
