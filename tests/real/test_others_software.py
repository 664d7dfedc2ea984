"""What others' software does with the folders that we write: it grades as we do, and trains on."""

import importlib.util
import json
from pathlib import Path

import pytest

from rft_jax.records.problem import read_problems, write_problems
from rft_jax.world import generate
from tests.real.conftest import EMBEDDED, command, greedy

pytestmark = pytest.mark.slow

PROBLEMS, NEW_TOKENS = 100, 120


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """The embedded base model after two steps of launch/train.py, as it is exported."""
    workdir = tmp_path_factory.mktemp("train")
    write_problems(workdir / "data.jsonl", generate.problems("train", 32, 0))
    command(
        "launch/train.py", "--config=configs/sft.py", f"--config.model={EMBEDDED}", "--config.epochs=2",
        f"--config.data={workdir / 'data.jsonl'}", "--config.batch=32", "--config.max_length=512",
        f"--workdir={workdir}",
    )  # fmt: skip
    return workdir / "model"


def test_lm_eval_judges_every_problem_as_evaluate_does(exported, tmp_path):
    needs("lm_eval")
    asked = tmp_path / "problems.jsonl"
    write_problems(asked, generate.problems("test", PROBLEMS, 0))
    paths = greedy(exported, asked, tmp_path / "ours", f"--config.max_new_tokens={NEW_TOKENS}")
    lines = (tmp_path / "ours" / "results.jsonl").read_text(encoding="utf-8").splitlines()
    verdicts = [json.loads(line)["reference"]["greedy"] for line in lines]
    assert 5 < sum(verdicts) < PROBLEMS - 5

    # Its own task of GSM8K, but for what is asked: our problems, in the chat template that we export.
    own = Path(importlib.util.find_spec("lm_eval").origin).parent / "tasks" / "gsm8k" / "gsm8k.yaml"
    task = {
        "include": str(own), "task": "ours", "dataset_path": "json", "dataset_name": None,
        "dataset_kwargs": {"data_files": {"test": str(asked)}}, "training_split": None, "fewshot_split": None,
        "num_fewshot": 0, "doc_to_text": "{{question}}",
        "generation_kwargs": {"do_sample": False, "until": [], "max_gen_toks": NEW_TOKENS},
    }  # fmt: skip
    (tmp_path / "ours.yaml").write_text(json.dumps(task))  # JSON is YAML
    command(
        "-m", "lm_eval", "run", "--model", "hf", "--model_args",
        f"pretrained={exported},dtype=float32", "--device", "cpu", "--tasks", "ours", "--include_path", tmp_path,
        "--apply_chat_template", "--batch_size", 50, "--log_samples", "--output_path", tmp_path / "theirs",
        HF_HOME=str(tmp_path / "home"),
    )  # fmt: skip
    (file,) = (tmp_path / "theirs").rglob("samples_ours_*.jsonl")
    samples = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    strict = {sample["doc_id"]: sample for sample in samples if sample["filter"] == "strict-match"}
    assert [strict[number]["resps"][0][0] for number in range(PROBLEMS)] == [path["response"] for path in paths]
    assert [bool(strict[number]["exact_match"]) for number in range(PROBLEMS)] == verdicts


@pytest.fixture(scope="session")
def our_loss(exported, tmp_path_factory):
    """The loss of our first step on eight problems from the exported model: their file, and the loss."""
    workdir = tmp_path_factory.mktemp("ours")
    asked = workdir / "data.jsonl"
    write_problems(asked, generate.problems("train", 8, 1))
    command(
        "launch/train.py", "--config=configs/sft.py", f"--config.model={exported}", f"--config.data={asked}",
        "--config.batch=8", "--config.epochs=1", "--config.max_length=512", f"--workdir={workdir}",
    )  # fmt: skip
    return asked, json.loads((workdir / "metrics.jsonl").read_text().splitlines()[0])["loss"]


@pytest.mark.filterwarnings("ignore")  # others' warnings
def test_transformers_trainer_has_our_loss(exported, our_loss, tmp_path):
    needs("accelerate")
    import torch
    import transformers

    asked, loss = our_loss
    tokenizer = transformers.AutoTokenizer.from_pretrained(exported)
    rows = []
    for each in read_problems(asked):
        turns = in_turns(each)
        prompt = tokenizer.apply_chat_template(turns[:1], add_generation_prompt=True)["input_ids"]
        whole = tokenizer.apply_chat_template(turns)["input_ids"]
        rows.append({"input_ids": whole, "labels": [-100] * len(prompt) + whole[len(prompt) :]})
    trainer = transformers.Trainer(
        model=transformers.AutoModelForCausalLM.from_pretrained(exported, dtype=torch.float32),
        args=transformers.TrainingArguments(**settings(tmp_path)),
        train_dataset=rows,
        data_collator=transformers.DataCollatorForSeq2Seq(tokenizer),
    )
    assert trainer.train().training_loss == pytest.approx(loss, rel=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_trl_has_our_loss(exported, our_loss, tmp_path):
    """TRL makes the tokens itself, by the chat template that lies in the folder."""
    needs("trl")
    import datasets
    import trl

    asked, loss = our_loss
    turns = [in_turns(each) for each in read_problems(asked)]
    trainer = trl.SFTTrainer(
        model=str(exported),
        args=trl.SFTConfig(**settings(tmp_path), model_init_kwargs={"dtype": "float32"}),
        train_dataset=datasets.Dataset.from_list([{"prompt": [ask], "completion": [answer]} for ask, answer in turns]),
    )
    assert trainer.train().training_loss == pytest.approx(loss, rel=1e-4)


def in_turns(problem):
    return [{"role": "user", "content": problem.question}, {"role": "assistant", "content": problem.response}]


def settings(folder):
    """One step on eight examples, for both trainers."""
    return {
        "output_dir": str(folder), "max_steps": 1, "per_device_train_batch_size": 8, "use_cpu": True, "bf16": False,
        "report_to": [], "save_strategy": "no", "disable_tqdm": True, "gradient_checkpointing": False,
    }  # fmt: skip


def needs(package: str) -> None:
    """Skips the test when others' software is not installed."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"no {package} here: pip install --no-deps -r launch/locked/peers.txt")
