"""Commands of a page are found, and those that the command line does not take are named."""

from __future__ import annotations

from docs.site.commands import broken_commands, commands, verb_of

PAGE = """
```
raytrain train dvse_emoji \\
    optim.lr=1e-3   # a comment
python jobs/sweep.py dvse --recipe dvse_emoji
raytrain licences --markdown > licences.md
```
```python
raytrain.train("dvse_emoji")
```
```
raytrain trian dvse_emoji
raytrain train dvse_emoji --lr 3
```
"""


def test_commands_are_found_and_broken_ones_are_named() -> None:
    assert commands(PAGE)[0] == ["raytrain", "train", "dvse_emoji", "optim.lr=1e-3"]
    assert [verb_of(words) for words in commands(PAGE)][1] == ["sweep", "dvse", "--recipe", "dvse_emoji"]
    assert commands(PAGE)[2] == ["raytrain", "licences", "--markdown"]
    first, second = broken_commands(PAGE)
    assert first.startswith("raytrain trian dvse_emoji: ") and "--lr" in second
