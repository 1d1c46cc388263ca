"""Examples name the files of their pictures, one per place."""

from __future__ import annotations

from raytrain.studies.examples import Element, Example, Nearest, files_of


def test_files_are_named_as_often_as_they_stand() -> None:
    image = Example("a dog", [Element("1", [Nearest("a cat")], [[1.0]])], "dog.jpg")
    caption = Example("a dog", [Element("1", [Nearest("dog.jpg", "dog.jpg"), Nearest("cat.jpg", "cat.jpg")])])
    assert [*files_of([image, caption])] == ["dog.jpg", "dog.jpg", "cat.jpg"]
