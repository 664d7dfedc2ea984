"""The controls of RFT: what longer training gives, and what more right paths give, without the paper's rule.

RFT differs from SFT in three ways: it takes more steps, it has more right answers, and it has chosen ones. So wherever
an evaluation of RFT is compared with one of SFT, models are added, trained from the same start:

- steps: on the gold answers, for as many steps as RFT;
- random: on as many right paths per problem as the rule keeps, drawn at random (`rules=random`);
- nearest, if asked for: on one path of each list of equations, the one that is nearest to the others.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from rft_jax.config import GOLD, EvaluateStage, PipelineConfig, SelectStage, StageConfig, TrainStage
from rft_jax.errors import UserError

_RULES = ("paper", "reference")  # those that select distinct paths


def controlled(config: PipelineConfig) -> PipelineConfig:
    """Returns a config with the controls that it asks for and lacks, each before the evaluation that needs it.

    Raises:
        UserError: a stage has the name of a control and is none.
    """
    stages: list[StageConfig] = []
    for stage in config.stages:
        if isinstance(stage, EvaluateStage):
            stages += _with_controls(config, stage, {each.name: each for each in stages})
        else:
            stages.append(stage)
    return dataclasses.replace(config, controls=(), stages=tuple(stages))


def _with_controls(
    config: PipelineConfig, evaluation: EvaluateStage, earlier: Mapping[str, StageConfig]
) -> list[StageConfig]:
    """Returns an evaluation, compared with its controls too, and before it those that are missing."""
    made: list[StageConfig] = []
    rft = earlier.get(evaluation.model)
    data = earlier.get(rft.data) if isinstance(rft, TrainStage) else None
    # A set from the first k samples has no controls of its own: they would double a curve's cost, to say the same.
    if not isinstance(rft, TrainStage) or not isinstance(data, SelectStage) or data.rules not in _RULES or rft.k:
        return [evaluation]
    against = next(_supervised(rft, evaluation, earlier), None)
    if against is None:
        return [evaluation]
    compared, sft = against
    if "steps" in config.controls:
        control = dataclasses.replace(sft, name=f"{rft.name}-steps", steps_of=rft.name)
        longer = next((name for name, each in earlier.items() if _trains_alike(each, control)), control.name)
        made += _missing([control] if longer == control.name else [], earlier)
        evaluation, more = _compared(evaluation, longer, "steps", compared, earlier)
        made += more
    for rules in ("random", "nearest"):
        if rules in config.controls:
            chosen = dataclasses.replace(data, name=f"{data.name}-{rules}", rules=rules, ks=())
            trained = dataclasses.replace(rft, name=f"{rft.name}-{rules}", data=chosen.name)
            made += _missing([chosen, trained], earlier)
            evaluation, more = _compared(evaluation, trained.name, rules, compared, earlier)
            made += more
    return [*made, evaluation]


def _supervised(
    rft: TrainStage, evaluation: EvaluateStage, earlier: Mapping[str, StageConfig]
) -> Iterator[tuple[EvaluateStage, TrainStage]]:
    """Yields the evaluations of SFT, from the same start, that an evaluation of RFT is compared with."""
    for name in evaluation.against:
        other = earlier.get(name)
        model = earlier.get(other.model) if isinstance(other, EvaluateStage) else None
        if not isinstance(other, EvaluateStage) or not isinstance(model, TrainStage):
            continue
        if model.data == GOLD and model.steps_of is None and model.model == rft.model:
            yield other, model


def _trains_alike(stage: StageConfig, control: TrainStage) -> bool:
    return isinstance(stage, TrainStage) and _but_for_epochs(stage) == _but_for_epochs(
        dataclasses.replace(control, name=stage.name)
    )


def _but_for_epochs(stage: TrainStage) -> tuple[TrainStage, dict[str, str]]:
    """Returns a stage that takes another's steps, and its settings in any order; its own epochs are not used."""
    settings = dict(setting.partition("=")[::2] for setting in stage.settings)
    settings.pop("epochs", None)
    return dataclasses.replace(stage, settings=()), settings


def _missing(controls: Sequence[StageConfig], earlier: Mapping[str, StageConfig]) -> list[StageConfig]:
    """Returns the controls that are not there yet."""
    for each in controls:
        there = earlier.get(each.name, each)
        if there != each and not (isinstance(each, TrainStage) and _trains_alike(there, each)):
            raise UserError(
                f"stage {each.name} has the name of a control and other fields than it ({each}): give it another name"
            )
    return [each for each in controls if each.name not in earlier]


def _compared(
    evaluation: EvaluateStage,
    control: str,
    suffix: str,
    sft: EvaluateStage,
    earlier: Mapping[str, StageConfig],
) -> tuple[EvaluateStage, list[StageConfig]]:
    """Returns an evaluation that is compared with a control's too, and the control's if there is none yet."""
    made: list[StageConfig] = []
    there = (each for each in earlier.values() if isinstance(each, EvaluateStage) and each.model == control)
    other = next((each for each in there if each.problems == evaluation.problems), None)
    if other is None:
        # eval-rft becomes eval-rft-random, rft-eval becomes rft-random-eval.
        name = evaluation.name.replace(evaluation.model, control)
        name = f"{evaluation.name}-{suffix}" if name == evaluation.name else name
        other = dataclasses.replace(evaluation, name=name, model=control, against=(sft.name,))
        made.append(other)
    against = tuple(dict.fromkeys((*evaluation.against, other.name)))
    return dataclasses.replace(evaluation, against=against), made
