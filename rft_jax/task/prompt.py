"""What a model is asked, letter for letter: the reference's instruction template, and prompts with worked examples."""

import random
from collections.abc import Sequence

from rft_jax.records.problem import Problem

_BEFORE = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n"
)
# No space after the colon: the answer's first token follows at once, in training and in sampling alike.
_AFTER = "\n\n### Response:"

# A model that continues a few-shot prompt goes on to the next question; its answer ends where this begins.
FEW_SHOT_STOP = "\n\nQuestion:"


def sampling_prompt(question: str) -> str:
    """Returns the text to sample from: instruction, question and `### Response:`."""
    return f"{_BEFORE}{question}{_AFTER}"


def training_text(question: str, response: str) -> tuple[str, int]:
    """Returns the text of a training row, and the number of characters of the prompt before the response.

    Tokenise the text as a whole: prompt and response apart give other tokens with Llama's tokenizer on nearly every row
    (the reference tokenises jointly). The end token comes after the text and belongs to the loss.
    """
    prompt = sampling_prompt(question)
    return prompt + response, len(prompt)


def choose_shots(problems: Sequence[Problem], count: int, seed: int) -> list[Problem]:
    """Returns `count` training problems to show as examples, the same for the same problems and seed.

    Raises:
        ValueError: there are fewer than `count` problems.
    """
    if count > len(problems):
        raise ValueError(f"{count} examples asked for, but there are {len(problems)} problems")
    return random.Random(seed).sample(list(problems), count)


def few_shot_prompt(shots: Sequence[Problem], question: str) -> str:
    """Returns worked examples, then the question and `Answer:`, for a model that was only pre-trained.

    Cut what the model writes at `FEW_SHOT_STOP`.
    """
    examples = "".join(f"Question: {shot.question}\nAnswer: {shot.response}\n\n" for shot in shots)
    return f"{examples}Question: {question}\nAnswer:"
