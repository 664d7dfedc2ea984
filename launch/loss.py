"""Measures the loss of a model on given text: nats per token, and bits per byte.

    python launch/loss.py --model=DIR --text=FILE[,FILE…] --output=loss.json
    python launch/loss.py --model=DIR --text=corpus.jsonl --field=text --output=loss.json
    python launch/loss.py --model=DIR --text=test.jsonl --task=gsm8k --output=loss.json

Without --field each file is one document of plain text; with it, each row is one (of several fields, joined by a
newline). Documents are never joined. A long one is seen in windows of --window tokens that begin --stride tokens apart,
and every token counts once, in the first window that has it. Before each document stands what the tokenizer puts there,
or its bos or eos token. A text that the tokenizer loses in part is refused, as in training. Bits per byte compare
models of different tokenizers; nats per token do not. The intervals take the documents as a random sample.

With --task the files are problems, and what is predicted are the gold responses and their ends, each after the prompt
that the model is asked with: the loss that SFT would begin with.
"""

from absl import flags

from rft_jax import command, names, stopping
from rft_jax.config import MeshConfig
from rft_jax.remote.outgoing import outgoing

MODEL = flags.DEFINE_string("model", None, "Hugging Face folder, or hf:ORG/NAME[@REVISION].", required=True)
TEXT = flags.DEFINE_string(
    "text", None, f"Files of text, or of rows, separated by commas; in the list, {names.QUOTING}.", required=True
)
FIELD = flags.DEFINE_string("field", None, "Fields of the rows that hold the text, separated by commas.")
TASK = flags.DEFINE_string("task", None, "Task of files of problems, of which the responses are measured.")
OUTPUT = flags.DEFINE_string("output", None, "JSON file to write; gs:// and s3:// too.", required=True)
WINDOW = flags.DEFINE_integer(
    "window", None, "Tokens seen at once; by default 2048, or the model's positions if fewer.", lower_bound=1
)
STRIDE = flags.DEFINE_integer(
    "stride", None, "Tokens from the start of a window to that of the next; by default half a window.", lower_bound=1
)
BATCH = flags.DEFINE_integer("batch", 8, "Windows at once.", lower_bound=1)
COMPUTE = flags.DEFINE_enum(
    "compute", "auto", ["auto", "float32", "bfloat16"], "Dtype; auto: float32 on CPU, bfloat16 elsewhere."
)
TENSOR = flags.DEFINE_integer(
    "tensor", 1, "Devices along the mesh's tensor axis; the others split batch and parameters.", lower_bound=1
)


def main() -> None:
    """Reads the flags, starts the process and measures."""
    text, fields = _names(TEXT), _names(FIELD)
    if fields and TASK.value is not None:
        raise flags.Error("--field and --task: a task says itself which fields it reads; give one of them")
    stopping.leave_at_once()  # libraries that take seconds to import swallow exceptions
    from rft_jax import runtime

    runtime.start()
    from rft_jax.evaluate import text_loss  # nothing may touch a device before the start

    with outgoing(OUTPUT.value, last=lambda _: True) as output:
        told = text_loss.measure(
            MODEL.value,
            text,
            output,
            fields=fields,
            window=WINDOW.value,
            stride=STRIDE.value,
            batch=BATCH.value,
            compute=COMPUTE.value,
            mesh=MeshConfig(data=1, fsdp=-1, tensor=TENSOR.value),
            task=TASK.value,
        )
    command.show(told)


def _names(flag: flags.FlagHolder) -> list[str]:
    try:
        return names.split_list(flag.value) if flag.value else []
    except ValueError as error:
        raise flags.Error(f"--{flag.name}: {error}") from None


if __name__ == "__main__":
    command.run(main)
