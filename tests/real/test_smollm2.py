"""Our model, sampler, trainer and export on a pretrained model's weights, each beside transformers' torch Llama."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rft_jax.hf import pretrained
from rft_jax.model.llama import forward
from rft_jax.records.problem import read_problems
from tests.real.conftest import AFTER, BEFORE, command, greedy, load_torch

pytestmark = pytest.mark.slow

ROWS = 8  # at a time: their logits take 0.5 GB
NEW_TOKENS = 128
PEAK_RATE, WEIGHT_DECAY = 2e-5, 0.1


@jax.jit
def our_logits(model, tokens, positions, seen):
    return model.logits(forward(model, tokens, seen, positions, dtype=jnp.float32))


def test_logits(smollm2, problems):
    import torch

    theirs, tokenizer = load_torch(smollm2), load_tokenizer(smollm2)
    ours = pretrained.load(smollm2, dtype=jnp.float32, stacked=True)
    asked = read_problems(problems(32))
    for start in range(0, len(asked), ROWS):
        texts = [f"{BEFORE}{each.question}{AFTER}{each.response}" for each in asked[start : start + ROWS]]
        batch = tokenizer(texts, return_tensors="pt", padding=True, padding_side="right")
        with torch.no_grad():
            expected = theirs(**batch).logits.numpy()
        tokens, seen = (batch[name].numpy().astype(np.int32) for name in ("input_ids", "attention_mask"))
        positions = np.broadcast_to(np.arange(tokens.shape[1], dtype=np.int32), tokens.shape)
        found = np.asarray(our_logits(ours, tokens, positions, seen))
        for row, mask in enumerate(seen == 1):
            scale = np.abs(expected[row, mask]).max()
            assert scale > 10  # it is a model that has learnt something
            assert np.abs(found[row, mask] - expected[row, mask]).max() < 1e-3 * scale


@pytest.mark.parametrize("task", ["gsm8k", "gsm8k_chat"])
def test_greedy_texts(smollm2, problems, tmp_path, task):
    asked, tokenizer = problems(16), load_tokenizer(smollm2)
    questions = [each.question for each in read_problems(asked)]
    if task == "gsm8k":
        prompts = [f"{BEFORE}{question}{AFTER}" for question in questions]
    else:
        prompts = [in_chat(tokenizer, question) for question in questions]
    paths = greedy(smollm2, asked, tmp_path, f"--config.task={task}", f"--config.max_new_tokens={NEW_TOKENS}")
    assert [path["response"] for path in paths] == generate(load_torch(smollm2), tokenizer, prompts)


@pytest.fixture(scope="module")
def trained(smollm2, problems, tmp_path_factory):
    """Two steps of launch/train.py on the same eight problems: the problems, and the run's folder."""
    asked, workdir = problems(8), tmp_path_factory.mktemp("train")
    command(
        "launch/train.py", "--config=configs/sft.py", f"--config.model={smollm2}", f"--config.data={asked}",
        "--config.batch=8", "--config.epochs=2", "--config.warmup=0", f"--config.learning_rate={PEAK_RATE}",
        f"--config.weight_decay={WEIGHT_DECAY}", "--config.compute=float32", f"--workdir={workdir}",
    )  # fmt: skip
    return asked, workdir


def test_two_steps_beside_torch(smollm2, trained):
    import torch

    asked, workdir = trained
    theirs, tokenizer = load_torch(smollm2), load_tokenizer(smollm2)
    before = {name: tensor.clone() for name, tensor in theirs.state_dict().items()}
    prompts = [tokenizer(f"{BEFORE}{each.question}{AFTER}")["input_ids"] for each in read_problems(asked)]
    responses = [tokenizer(f"{each.response}{tokenizer.eos_token}")["input_ids"] for each in read_problems(asked)]
    rows = [torch.tensor(prompt + response) for prompt, response in zip(prompts, responses, strict=True)]
    tokens = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    taught = torch.zeros_like(tokens, dtype=torch.bool)
    for row, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
        taught[row, len(prompt) : len(prompt) + len(response)] = True
    optimizer = torch.optim.AdamW(theirs.parameters(), lr=PEAK_RATE, eps=1e-8, weight_decay=WEIGHT_DECAY)
    losses = []
    for rate in (PEAK_RATE, PEAK_RATE / 2):  # a cosine from the peak to 0 in two steps
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        logits = theirs(tokens).logits[:, :-1]  # padding is on the right, where causal attention never looks
        loss = torch.nn.functional.cross_entropy(logits[taught[:, 1:]], tokens[:, 1:][taught[:, 1:]])
        loss.backward()
        losses.append(loss.item())
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        optimizer.step()

    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    np.testing.assert_allclose([line["loss"] for line in lines], losses, rtol=1e-4)
    assert losses[1] < losses[0] - 0.05
    ours = load_torch(workdir / "model").state_dict()
    off = moved = 0.0
    for name, expected in theirs.state_dict().items():
        difference = (ours[name] - expected).norm()
        assert difference < 1e-5 * expected.norm(), name
        off, moved = off + difference.item() ** 2, moved + (expected - before[name]).norm().item() ** 2
    # The steps are small beside the weights, and are to be the same themselves: all together, as Adam's first steps
    # go by the sign of each gradient alone, also where it is 0 but for rounding.
    assert off**0.5 < 0.02 * moved**0.5


def test_the_export_says_the_same_in_transformers(trained, problems, tmp_path):
    model, asked = trained[1] / "model", problems(16)
    tokenizer = load_tokenizer(model)
    prompts = [in_chat(tokenizer, each.question) for each in read_problems(asked)]
    assert prompts[0] == f"{BEFORE}{read_problems(asked)[0].question}{AFTER}"  # the template that it was trained with
    paths = greedy(model, asked, tmp_path, f"--config.max_new_tokens={NEW_TOKENS}")
    assert [path["response"] for path in paths] == generate(load_torch(model), tokenizer, prompts)


def load_tokenizer(folder):
    import transformers

    return transformers.AutoTokenizer.from_pretrained(folder)


def in_chat(tokenizer, question):
    messages = [{"role": "user", "content": question}]
    return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)


def generate(model, tokenizer, prompts):
    """Returns what transformers' generate answers greedily."""
    import torch

    batch = tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False)
    with torch.no_grad():
        out = model.generate(**batch, do_sample=False, max_new_tokens=NEW_TOKENS)
    return tokenizer.batch_decode(out[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
