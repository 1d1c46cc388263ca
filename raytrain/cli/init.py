"""`raytrain init`: a small starter project, ready for `raytrain sweep` and `raytrain submit`."""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import Annotated, Any

import typer

from raytrain.cli.verb import option, verb
from raytrain.errors import UsageError

app = typer.Typer()
TEMPLATES = Path(__file__).with_name("project")
FILES = {
    "README.md": "README.md",
    "recipe.yaml": "recipe.yaml",
    "space.py": "space.py.txt",  # no module of raytrain
    ".gitignore": "ignored.txt",
    ".rayignore": "ignored.txt",
}
"""{file of a project: its template}."""


@verb(app, "init", "raytrain init my_project", "raytrain init . --name flowers", panel="Train")
def run_init(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="of the project; made where it is not there")],
    name: Annotated[
        str | None, option("--name", "Output", "of the experiment and the table; default the folder's", metavar="NAME")
    ] = None,
) -> dict[str, Any]:
    """Write a small project of one's own: a recipe, a search space, and a README that says what to type.

    Files that are there already are not touched: the command is refused.
    """
    from raytrain.files import plain_name

    root = Path(folder).expanduser().resolve()
    project = plain_name(name or root.name)
    if not project:
        raise UsageError(f"'{name or root.name}' has no letter or digit to name an experiment by; give --name")
    present = [str(root / file) for file in FILES if (root / file).exists()]
    if present:
        raise UsageError(f"there already: {', '.join(present)}; name another folder, or move them away")
    (root / "photos" / "images").mkdir(parents=True, exist_ok=True)
    for file, template in FILES.items():
        text = (TEMPLATES / template).read_text(encoding="utf-8")
        (root / file).write_text(Template(text).substitute(project=project), encoding="utf-8")
    print(f"{root}: {', '.join(FILES)}")
    print(f"Begin with {root / 'README.md'}: put images into {root / 'photos' / 'images'}, and captions.csv beside it.")
    return {"folder": str(root), "project": project, "files": sorted(FILES)}
