"""The whole run in this process: what it writes, what it learns, and what it refuses."""

import dataclasses
import json
import math
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import sft
from rft_jax.config import MeshConfig
from rft_jax.data import prompt_format
from rft_jax.data import tokenizer as tokenizers
from rft_jax.errors import UserError
from rft_jax.hf import config as hf_config
from rft_jax.hf import pretrained
from rft_jax.model import llama
from rft_jax.records.problem import Problem, read_problems
from rft_jax.runtime import make_mesh
from rft_jax.task import task as tasks
from rft_jax.task.templates.paper import Paper, instruction
from rft_jax.train import assemble, checkpoint, loop
from tests.train.conftest import tiny_problems


def tiny_config(model_folder, data_file, /, **changes):
    base = dataclasses.replace(
        sft.get_config(), model=str(model_folder), data=str(data_file), batch=16, row_length=128, max_length=128,
        epochs=4, learning_rate=1e-3, save_every=4, loss_chunk=64, remat="none",
    )  # fmt: skip
    return dataclasses.replace(base, **changes)


def train(config, workdir):
    loop.train(config, workdir, command="the command")


def lines(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def finished(model_folder, data, tmp_path_factory):
    """The folder of a run of 10 steps."""
    workdir = tmp_path_factory.mktemp("runs") / "finished"
    train(tiny_config(model_folder, data), workdir)
    return workdir


def test_what_a_run_leaves(finished):
    assert sorted(path.name for path in finished.iterdir()) == [
        "checkpoints", "metrics.jsonl", "model", "run.json", "tensorboard",
    ]  # fmt: skip
    told = json.loads((finished / "run.json").read_text())
    assert [part["first_step"] for part in told["parts"]] == [0]
    assert told["parts"][0]["made_by"]["mesh"] == {"data": 1, "fsdp": 8, "tensor": 1}
    assert told["settings"]["batch"] == 16
    assert checkpoint.saved_steps(finished / "checkpoints") == [8, 10]
    assert list((finished / "tensorboard").iterdir())
    told = lines(finished)
    assert [line["step"] for line in told] == list(range(1, 11))
    names = {
        "step",
        "loss",
        "gradient_norm",
        "learning_rate",
        "tokens_per_second",
        "padding",
        "seconds",
        "memory_bytes",
    }
    for line in told:
        assert set(line) == names  # a CPU's peak is not known, so no utilisation
        assert all(math.isfinite(value) for value in line.values())
        assert 0 <= line["padding"] < 1
    assert told[-1]["loss"] < told[0]["loss"]


def test_the_model_is_the_last_checkpoints(finished):
    exported = pretrained.load(finished / "model", dtype=None, stacked=True)
    origin = checkpoint.read_origin(finished / "checkpoints" / "10")
    model = jax.eval_shape(lambda: exported)
    saved = dict(checkpoint.tensors(finished / "checkpoints" / "10", origin.architecture, model, np.dtype(np.float32)))
    np.testing.assert_array_equal(exported.embedding[...], saved["model.embed_tokens.weight"])
    assert (finished / "model" / "tokenizer.json").exists()


def test_the_model_says_how_it_wants_to_be_asked(finished, model_folder, data):
    """Whoever samples from it, by our settings or by transformers' messages, asks token for token as training did."""
    folder = finished / "model"
    loaded = tokenizers.load(folder)
    asked = prompt_format.choose(folder, loaded, name=None, task=None, template=None, begin_token=None, end_tokens=None)
    assert (asked.name, asked.task, asked.template) == ("finished", "gsm8k", Paper())
    assert (asked.bos_tokens, asked.eos_token, asked.stop_tokens) == ((), 2, (2,))
    batches, _ = assemble.make_batches(
        tiny_config(model_folder, data), asked, loaded, hf_config.read(folder), data_parallel_size=8
    )
    for number, problem in enumerate(read_problems(data)):
        messages = [{"role": "user", "content": problem.question}]
        ids = loaded.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        assert batches.examples[number][: batches.examples.prompts[number]].tolist() == ids
    for name in ("config.json", "generation_config.json"):
        assert json.loads((folder / name).read_text())["eos_token_id"] == 2


def test_the_reference_preset_need_not_be_typed_again(model_folder, data, tmp_path):
    config = tiny_config(model_folder, data, begin_token=2, border="joint", epochs=1, batch=40)
    train(config, tmp_path / "run")
    folder = tmp_path / "run" / "model"
    own = prompt_format.read(folder)
    assert own.bos_tokens == (2,)
    encoder = own.encoder(tokenizers.load(folder), 256)
    assert encoder.prompts([Problem("?", "")], "f")[0][0] == 2


def test_the_task_of_a_model_may_change_or_go(finished, tmp_path, caplog):
    folder, task = tmp_path / "model", tmp_path / "task.py"
    shutil.copytree(finished / "model", folder)
    file = folder / prompt_format.FILE
    file.write_text(json.dumps(json.loads(file.read_text()) | {"task": str(task)}))
    task.write_text(
        "import dataclasses\nfrom rft_jax.task import gsm8k\nfrom rft_jax.task.templates.jinja import Jinja\n"
        "TASK = dataclasses.replace(gsm8k.TASK, template=Jinja('{{ bos_token }}{{ question }}'))\n"
    )
    loaded = tokenizers.load(folder)
    settings = {"name": None, "task": None, "template": None, "begin_token": None, "end_tokens": None}
    with caplog.at_level("INFO"):
        asked = prompt_format.choose(folder, loaded, **settings)
    assert asked.template == prompt_format.read(folder).template
    assert "by the template that it was trained with, not by that of its task" in caplog.text
    task.unlink()
    with pytest.raises(UserError, match=f"the task of {folder} was {task}, which is not there now"):
        prompt_format.choose(folder, loaded, **settings)
    assert prompt_format.choose(folder, loaded, **settings | {"task": "gsm8k"}).task == "gsm8k"


def test_a_damaged_prompt_format_is_told(finished, tmp_path):
    shutil.copytree(finished / "model", tmp_path / "model")
    loaded = tokenizers.load(tmp_path / "model")
    file = tmp_path / "model" / prompt_format.FILE
    whole = json.loads(file.read_text())
    for changes, message in (
        ({"end": 1}, "contradicts itself: prompt_format.json says that a response ends with 1"),
        ({"begin": "1"}, "is damaged"),
        ({"template": {"kind": "none"}}, "is damaged"),
        ({"task": "gsm9k"}, "no task is called 'gsm9k'"),
    ):
        file.write_text(json.dumps(whole | changes))
        with pytest.raises(UserError, match=message):
            asked = prompt_format.choose(
                tmp_path / "model", loaded, name=None, task=None, template=None, begin_token=None, end_tokens=None
            )
            tasks.load(asked.task)


def test_the_same_command_again_changes_nothing(finished, model_folder, data):
    before = (finished / "model" / "model.safetensors").read_bytes()
    told = (finished / "metrics.jsonl").read_text()
    train(tiny_config(model_folder, data), finished)
    assert (finished / "model" / "model.safetensors").read_bytes() == before
    assert (finished / "metrics.jsonl").read_text() == told


@pytest.mark.parametrize("sizes", [(1, 8, 1), (2, 2, 2)])
def test_going_on_from_a_checkpoint(finished, model_folder, data, tmp_path, sizes):
    """Bitwise the same on the same mesh; within fp32 rounding on another."""
    shutil.copytree(finished / "checkpoints" / "8", tmp_path / "checkpoints" / "8")
    shutil.copy(finished / "metrics.jsonl", tmp_path)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 11, "lo')  # as a kill leaves it
    train(tiny_config(model_folder, data, mesh=MeshConfig(*sizes)), tmp_path)
    assert [line["step"] for line in lines(tmp_path)] == list(range(1, 11))
    ours, theirs = (pretrained.load(folder / "model", dtype=None, stacked=True) for folder in (tmp_path, finished))
    for leaf, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        if sizes == (1, 8, 1):
            np.testing.assert_array_equal(leaf, other)
        else:
            np.testing.assert_allclose(leaf, other, atol=1e-5)


def test_start_order(finished, model_folder, data, tmp_path):
    """A checkpoint given by name wins over the pretrained model, and gives weights but no step and no moments."""
    config = tiny_config(
        model_folder, data, checkpoint=str(finished / "checkpoints" / "8"), epochs=1, learning_rate=0.0
    )
    train(config, tmp_path)
    ours, theirs = (
        pretrained.load(tmp_path / "model", dtype=None, stacked=True),
        dict(_tensors(finished / "checkpoints" / "8")),
    )
    np.testing.assert_array_equal(ours.embedding[...], theirs["model.embed_tokens.weight"])
    assert [line["step"] for line in lines(tmp_path)] == [1, 2, 3]


def _tensors(folder):
    config = checkpoint.read_origin(folder).architecture
    model = jax.eval_shape(lambda: llama.Llama(config, jax.random.key(0), dtype=jnp.float32, stacked=True))
    return checkpoint.tensors(folder, config, model, np.dtype(np.float32))


def test_from_random_weights(model_folder, data, tmp_path):
    config = tiny_config(None, data, size="tiny", tokenizer=str(model_folder), epochs=1, learning_rate=0.0)
    train(dataclasses.replace(config, model=None), tmp_path)
    expected = llama.Llama(llama_config("tiny"), jax.random.key(0), dtype=jnp.float32, stacked=True)
    ours = pretrained.load(tmp_path / "model", dtype=None, stacked=True)
    np.testing.assert_allclose(ours.embedding[...], expected.embedding[...], atol=1e-7)


def llama_config(size):
    from rft_jax.model import architecture

    return architecture.SIZES[size]


def test_a_loss_that_is_not_finite_stops_with_step_and_examples(model_folder, data, tmp_path):
    config = tiny_config(model_folder, data, learning_rate=1e30, save_every=1)
    with pytest.raises(
        UserError, match=r"step \d+: (loss|gradient_norm) is (nan|inf); the step's examples are \d+, \d+"
    ):
        train(config, tmp_path)
    last = checkpoint.saved_steps(tmp_path / "checkpoints")[-1]
    assert lines(tmp_path)[-1]["step"] == last
    assert all(np.isfinite(tensor).all() for _, tensor in _tensors(tmp_path / "checkpoints" / str(last)))
    assert not (tmp_path / "model").exists()


def test_a_full_disk_stops_the_run_and_keeps_the_last_checkpoint(model_folder, data, small_disk):
    config = tiny_config(model_folder, data, save_every=1, keep=100)
    with pytest.raises(UserError, match=r"cannot (save|write)") as caught:
        train(config, small_disk)
    assert "\n" not in str(caught.value)
    last = checkpoint.saved_steps(small_disk / "checkpoints")[-1]
    assert last < 10
    assert all(np.isfinite(tensor).all() for _, tensor in _tensors(small_disk / "checkpoints" / str(last)))


def write(path: Path, *problems: dict) -> Path:
    path.write_text("".join(json.dumps(problem) + "\n" for problem in problems))
    return path


def test_bad_input_is_refused_in_one_line(model_folder, data, finished, tmp_path):
    problem = tiny_problems(1)[0]
    cases = [
        ({"data": None}, "nothing to train on: give --config.data=FILE"),
        ({"data": str(tmp_path / "none.jsonl")}, r"none\.jsonl"),
        ({"data": str(write(tmp_path / "empty.jsonl"))}, r"empty\.jsonl holds no problem"),
        ({"data": str(write(tmp_path / "a.jsonl", problem, {"query": "?"}))}, r'a\.jsonl:2: .*"response" is missing'),
        (
            {"data": str(write(tmp_path / "b.jsonl", problem, {"query": "?", "response": ""}))},
            r"b\.jsonl:2: the response is empty",
        ),
        (
            {"max_length": 20},
            r"jsonl:1: .* beyond max_length 20, as in 40 of 40 examples: --config.max_length=\d+ keeps",
        ),
        ({"max_length": 20, "border": "joint"}, "at max_length 20 no example has any of its response left"),
        ({"task": "gsm9k"}, "no task is called 'gsm9k'"),
        ({"template": "chat"}, "has no chat template"),
        ({"begin_token": 99999}, "bos token 99999 is no token of the model"),
        ({"row_length": 32}, "does not fit a row of 32"),
        ({"batch": 12, "packing": "none"}, "batch of 12 .* over 8 devices .* these would: 8 or 16"),
        ({"mesh": MeshConfig(1, 3, 1)}, "does not cover the 8 devices here; these would"),
        ({"model": None}, "nothing to start from: give --config.model=DIR"),
        ({"model": str(tmp_path / "nowhere")}, "nowhere"),
        ({"size": "tinny", "model": None}, "unknown model size 'tinny' .did you mean 'tiny'"),
        ({"size": "tiny", "model": None}, "random weights tiny, seed 0 has no tokenizer: give --config.tokenizer=DIR"),
        ({"attention": "cudnn"}, "attention=cudnn needs a CUDA GPU"),
        ({"attention": "splash"}, "attention=splash needs a TPU"),
        ({"checkpoint": str(finished / "checkpoints")}, "is not a checkpoint of a training run"),
    ]
    for changes, message in cases:
        with pytest.raises(UserError, match=message) as caught:
            train(tiny_config(model_folder, data, **changes), tmp_path / "run")
        assert "\n" not in str(caught.value)
    other = write(tmp_path / "other.jsonl", *tiny_problems(30))
    with pytest.raises(UserError, match=rf"a run with data {data}, this one has data {other}"):
        train(tiny_config(model_folder, other), finished)
    with pytest.raises(UserError, match="the checkpoint has 10 steps behind it, and this run is of 5"):
        train(tiny_config(model_folder, data, epochs=2), finished)


def test_a_tokenizer_that_disagrees_about_the_end_is_refused(model_folder, data, tmp_path):
    shutil.copytree(model_folder, tmp_path / "model")
    settings = tmp_path / "model" / "generation_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "eos_token_id": 1}))
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    (tmp_path / "model" / "config.json").write_text(json.dumps({**config, "eos_token_id": 1}))
    with pytest.raises(
        UserError, match=r"generation_config.json says 1, config.json 1, the tokenizer 2; correct the wrong one"
    ):
        train(tiny_config(tmp_path / "model", data), tmp_path / "run")


@pytest.mark.parametrize("size", sft.GPUS)
def test_presets(size):
    config, paper = sft.get_config(size), sft.get_config(f"{size}:paper")
    assert (config.begin_token, config.loss, config.decay, config.max_length) == (None, "token_mean", "cosine", 1024)
    large = size in ("llama-33b", "llama-65b", "llama2-70b")
    assert paper.begin_token == (1 if large else 2)
    assert paper.decay == ("linear" if large else "cosine")
    assert (paper.max_length, paper.loss) == (512, "group_mean")
    assert paper.loss_group == {"llama-7b": 4, "llama2-7b": 4, "llama-33b": 2, "llama2-70b": 2}.get(size, 1)
    assert (paper.epochs, paper.batch, paper.learning_rate, paper.warmup, paper.clip) == (3, 128, 2e-5, 0.03, 1.0)


def test_unknown_presets():
    with pytest.raises(UserError, match=r"no size 'llama2-7c' .did you mean 'llama2-7b'"):
        sft.get_config("llama2-7c")
    with pytest.raises(UserError, match="has no preset 'papers'"):
        sft.get_config("llama2-7b:papers")


@pytest.mark.slow
def test_it_learns(model_folder, tmp_path):
    """A tiny model comes to know its problems by heart: the loss falls below 0.1, and greedy answers are right."""
    problems = tiny_problems(40)
    data = write(tmp_path / "problems.jsonl", *problems)
    config = tiny_config(
        model_folder, data, epochs=150, batch=40, row_length=256, learning_rate=1e-2, save_every=10**6, begin_token=1
    )
    train(config, tmp_path / "run")
    assert lines(tmp_path / "run")[-1]["loss"] < 0.1
    right = 0
    with jax.set_mesh(make_mesh(1, 8, 1)):
        answers = greedy(tmp_path / "run" / "model", [problem["query"] for problem in problems])
    right = sum(answer == problem["response"] for answer, problem in zip(answers, problems, strict=True))
    assert right >= 38


def greedy(folder, questions, new_tokens=24):
    """Returns the most likely responses, one token at a time and without a cache."""
    from rft_jax.data import tokenizer

    loaded = tokenizer.load(folder)
    model = pretrained.load(folder, make_mesh(1, 8, 1), dtype=jnp.float32, stacked=True)
    prompts = [[1, *loaded(instruction(question), add_special_tokens=False)["input_ids"]] for question in questions]
    tokens = np.zeros((len(prompts), max(map(len, prompts)) + new_tokens), np.int32)
    lengths = np.array([len(row) for row in prompts])
    for row, known in zip(tokens, prompts, strict=True):
        row[: len(known)] = known

    @jax.jit
    def next_tokens(tokens, lengths):
        positions = jnp.broadcast_to(jnp.arange(tokens.shape[1])[None], tokens.shape)
        hidden = llama.forward(model, tokens, jnp.ones_like(tokens), positions, dtype=jnp.dtype(jnp.float32))
        last = jnp.take_along_axis(hidden, (lengths - 1)[:, None, None], axis=1)
        return model.logits(last)[:, 0].argmax(axis=-1)

    for _ in range(new_tokens):
        tokens[np.arange(len(tokens)), lengths] = next_tokens(tokens, lengths)
        lengths += 1
    written = [row[len(known) : len(known) + new_tokens].tolist() for row, known in zip(tokens, prompts, strict=True)]
    return [loaded.decode(row[: row.index(2)] if 2 in row else row) for row in written]
