"""Makes the embedded default's problems, fresh ones and variants, or the corpus that its base model was pre-trained on.

    python launch/make_problems.py --train=512 --test=1024 --seed=0 --output=DIR
    python launch/make_problems.py --fresh=1200 --seed=0 --output=DIR
    python launch/make_problems.py --variants=10 --templates=100 --seed=0 --output=DIR
    python launch/make_problems.py --corpus=32000 --drills=0.5 --seed=0 --output=DIR

writes DIR/train.jsonl and DIR/test.jsonl, DIR/fresh.jsonl, DIR/variants.jsonl, or DIR/corpus.jsonl and its tokenizer,
DIR/tokenizer; other files there stay. The test problems do not depend on the seed, and are never in the training
problems or the corpus. Fresh problems are test problems, too, but none of the standard ones. Variants are in
GSM-Symbolic's form: numbers, people and things of each of the first --templates test problems (of the --test, if that
is given) drawn anew, --variants times.
"""

from pathlib import Path

from absl import flags

from rft_jax import command
from rft_jax.world import write
from rft_jax.world.fresh import STANDARD

TRAIN = flags.DEFINE_integer("train", 0, "Number of training problems.", lower_bound=0)
TEST = flags.DEFINE_integer("test", 0, f"Number of test problems, at most {STANDARD:,}.", lower_bound=0)
CORPUS = flags.DEFINE_integer("corpus", 0, "Number of rows in the noisy corpus.", lower_bound=0)
FRESH = flags.DEFINE_integer("fresh", 0, "Number of test problems that are none of the standard ones.", lower_bound=0)
VARIANTS = flags.DEFINE_integer("variants", 0, "Number of variants of each template.", lower_bound=0)
TEMPLATES = flags.DEFINE_integer("templates", 100, "Number of test problems to vary.", lower_bound=1)
DRILLS = flags.DEFINE_float("drills", 0.5, "Share of the corpus that is bare arithmetic.", 0.0, 1.0)
SEED = flags.DEFINE_integer("seed", 0, "Seed of training problems and corpus; of the others, if they have none.")
FRESH_SEED = flags.DEFINE_integer("fresh_seed", None, "Seed of fresh problems and variants; by default --seed.")
OUTPUT = flags.DEFINE_string("output", None, "Folder to write to.", required=True)


def main() -> None:
    """Reads the flags and writes the files."""
    if not any(count.value for count in (TRAIN, TEST, FRESH, VARIANTS, CORPUS)):
        raise flags.Error("nothing to make: give --train, --test, --fresh, --variants or --corpus, a number above 0")
    folder = Path(OUTPUT.value)
    if TRAIN.value or TEST.value or FRESH.value or VARIANTS.value:
        write.write_problem_sets(
            folder,
            train=TRAIN.value,
            test=TEST.value,
            seed=SEED.value,
            fresh=FRESH.value,
            variants=VARIANTS.value,
            templates=TEMPLATES.value,
            fresh_seed=SEED.value if FRESH_SEED.value is None else FRESH_SEED.value,
        )
    if CORPUS.value:
        write.write_corpus(folder, rows=CORPUS.value, seed=SEED.value, drills=DRILLS.value)


if __name__ == "__main__":
    command.run(main)
