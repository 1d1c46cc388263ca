"""The generated pages of the reference name what the code has."""

from __future__ import annotations

from pydantic import BaseModel, Field

from docs.site.reference import PAGES, argument_texts, table, type_text
from raytrain.cli.main import command
from raytrain.config import METHOD_CONFIGS, RunConfig
from raytrain.config.fields import leaves
from raytrain.tracking.events import EVENTS


def test_every_verb_flag_and_setting_is_there_with_its_bounds() -> None:
    commands, settings = PAGES["commands.md"](), PAGES["settings.md"]()
    assert all(f"## raytrain {name}" in commands for name, verb in command().commands.items() if not verb.hidden)
    assert "## raytrain data build" in commands and "| `--trials` | int | trials in total" in commands
    missing = [name for name in leaves(RunConfig) if f"`{name}`" not in settings]
    assert not missing
    assert "| `method.views` | int | at least 1, at most 64 | 4 | K |" in settings
    assert all(f"## method.kind={kind}" in settings for kind in METHOD_CONFIGS)


def test_journal_table_metrics_and_names_are_there() -> None:
    journal = PAGES["journal.md"]()
    assert all(f"## {name}\n" in journal for name in EVENTS)
    assert "| `fingerprint` |" in PAGES["table.md"]() and "| `targets` | list" in PAGES["table.md"]()
    assert "`i2t/recall_at_1`" in PAGES["metrics.md"]() and "`coco/5k`" in PAGES["metrics.md"]()
    assert "| `dvse_emoji` |" in PAGES["names.md"]()


class Described(BaseModel):
    """A part.

    Args:
        a: a number that
            takes two lines.
        b: a text.
    """

    a: int | None = Field(None, ge=1)
    b: str = "x|y"


def test_cells_types_and_argument_texts() -> None:
    assert argument_texts(Described) == {"a": "a number that takes two lines.", "b": "a text."}
    assert type_text(Described.model_fields["a"].annotation) == "int or none"
    assert table(("a",), (("x|y\nz <b>",),)) == "| a |\n| --- |\n| x\\|y z &lt;b> |\n"
