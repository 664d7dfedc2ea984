"""The stages that fill one cell of a table, with all that they need.

A stage has the same name and settings in every experiment, so experiments that share a workdir share their stages.
"""

import dataclasses
from collections.abc import Sequence

from rft_jax.config import GOLD, EvaluateStage, LossStage, SampleStage, SelectStage, StageConfig, TrainStage
from rft_jax.paper.preset import Preset

Stages = list[StageConfig]


def evaluation(model: str) -> str:
    """Returns the name of a model's evaluation."""
    return f"{model}-eval"


def sft_name(model: str, part: int = 1, *, steps: bool = False) -> str:
    """Returns the name of SFT on 1/part of the problems, for the usual epochs or for as many steps as on all."""
    return f"{model}-sft" + (f"-1of{part}" if part > 1 else "") + ("-steps" if steps else "")


def rft_name(model: str, variant: str = "") -> str:
    """Returns the name of RFT: of all samples by the paper's rule, or a variant such as `k3`, `none` or `u13b`."""
    return f"{model}-rft" + (f"-{variant}" if variant else "")


def set_name(model: str, variant: str = "") -> str:
    """Returns the name of the set that RFT is trained on."""
    return f"{model}-set" + (f"-{variant}" if variant else "")


def icl(preset: Preset, model: str) -> Stages:
    """Returns the evaluation of a model that was only pre-trained, with worked examples."""
    shots = (f"shots={preset.shots}", f"shots_from={preset.problems}") if preset.shots else ()
    stage = _evaluated(preset, model, model)
    return [dataclasses.replace(stage, settings=(*shots, *stage.settings))]


def sft(preset: Preset, model: str, part: int = 1, *, steps: bool = False) -> Stages:
    """Returns SFT on 1/part of the problems, and its evaluation."""
    name = sft_name(model, part, steps=steps)
    own = (f"fraction=1/{part}",) if part > 1 else ()
    whole = sft(preset, model) if steps else []
    return [
        *whole,
        TrainStage(
            name=name,
            model=model,
            data=GOLD,
            settings=own,
            steps_of=sft_name(model) if steps else None,
            config=preset.train_of.get(model),
        ),
        _evaluated(preset, name, model, votes=part == 1),
    ]


def paths(preset: Preset, model: str) -> Stages:
    """Returns k paths per problem from a model after SFT, and the selection of the paper's rule."""
    return [
        *sft(preset, model),
        SampleStage(name=f"{model}-paths", model=sft_name(model), settings=_devices(preset, model)),
        SelectStage(name=set_name(model), paths=(f"{model}-paths",), ks=preset.ks),
    ]


def rft(preset: Preset, model: str) -> Stages:
    """Returns RFT on all of a model's own samples, compared with SFT; the pipeline adds the controls."""
    name = rft_name(model)
    return [
        *paths(preset, model),
        _trained(preset, name, model, set_name(model)),
        _evaluated(preset, name, model, against=(evaluation(sft_name(model)),)),
    ]


def rft_at_k(preset: Preset, model: str, k: int) -> Stages:
    """Returns RFT on what is selected from the first k of a model's samples."""
    name = rft_name(model, f"k{k}")
    against = (evaluation(sft_name(model)),)
    return [
        *paths(preset, model),
        _trained(preset, name, model, set_name(model), k=k),
        _evaluated(preset, name, model, votes=False, against=against),
    ]


def rft_by(preset: Preset, model: str, rules: str, part: int = 1) -> Stages:
    """Returns RFT on what another rule selects, or on 1/part of that, compared with the paper's rule."""
    variant = rules + (f"-1of{part}" if part > 1 else "")
    name, own = rft_name(model, variant), (f"fraction=1/{part}",) if part > 1 else ()
    return [
        *rft(preset, model),
        SelectStage(name=set_name(model, rules), paths=(f"{model}-paths",), rules=rules),
        _trained(preset, name, model, set_name(model, rules), settings=own),
        _evaluated(preset, name, model, votes=False, against=(evaluation(rft_name(model)),)),
    ]


def rft_hot(preset: Preset, model: str) -> Stages:
    """Returns RFT on paths of a higher temperature, compared with the usual one."""
    name, found = rft_name(model, "hot"), f"{model}-paths-hot"
    own = (*_devices(preset, model), f"temperature={preset.hot}")
    return [
        *rft(preset, model),
        SampleStage(name=found, model=sft_name(model), settings=own),
        SelectStage(name=set_name(model, "hot"), paths=(found,), ks=preset.ks),
        _trained(preset, name, model, set_name(model, "hot")),
        _evaluated(preset, name, model, votes=False, against=(evaluation(rft_name(model)),)),
    ]


def union(preset: Preset, model: str, teachers: Sequence[str], variant: str) -> Stages:
    """Returns RFT on the united paths of several models, compared with its own paths where there are such."""
    name, found = rft_name(model, variant), f"{variant}-set"
    other = rft(preset, model) if model in preset.students else sft(preset, model)
    before = rft_name(model) if model in preset.students else sft_name(model)
    return [
        *(stage for teacher in teachers for stage in paths(preset, teacher)),
        *other,
        SelectStage(name=found, paths=tuple(f"{teacher}-paths" for teacher in teachers), ks=preset.ks),
        _trained(preset, name, model, found),
        _evaluated(preset, name, model, against=(evaluation(before),)),
    ]


def later_round(preset: Preset, model: str, number: int) -> Stages:
    """Returns a later round: the model of the round before samples, and its paths join those that are there."""
    before = rft_name(model) if number == 2 else rft_name(model, f"round{number - 1}")
    earlier = [f"{model}-paths", *(f"{model}-paths-round{each}" for each in range(2, number))]
    name, found = rft_name(model, f"round{number}"), f"{model}-paths-round{number}"
    return [
        *(rft(preset, model) if number == 2 else later_round(preset, model, number - 1)),
        SampleStage(name=found, model=before, settings=_devices(preset, model)),
        SelectStage(name=set_name(model, f"round{number}"), paths=(*earlier, found), ks=preset.ks),
        _trained(preset, name, model, set_name(model, f"round{number}")),
        _evaluated(preset, name, model, votes=False, against=(evaluation(before),)),
    ]


def pretraining_loss(preset: Preset, model: str) -> Stages:
    """Returns the loss of a model that was only pre-trained, beside its accuracy before and after SFT."""
    measured = LossStage(
        name=f"{model}-loss", model=model, text=preset.text, field=preset.text_field, task=preset.text_task
    )
    return [*icl(preset, model), *sft(preset, model), measured]


def faithful(preset: Preset, model: str) -> Stages:
    """Returns SFT and RFT with the surprises of the reference's code (configs/paper/TRAPS.md), compared with ours."""
    config, settings = preset.faithful
    drawn = ("top_k=50", "prompt_tokens=256", *_devices(preset, model))
    sft, rft_, found, chosen = (
        f"{name}-faithful" for name in (sft_name(model), rft_name(model), f"{model}-paths", set_name(model))
    )

    def evaluated(name: str, ours: str) -> EvaluateStage:
        voting = (f"k={preset.votes}", *drawn)
        return EvaluateStage(name=evaluation(name), model=name, against=(evaluation(ours),), settings=voting)

    return [
        *rft(preset, model),
        TrainStage(name=sft, model=model, data=GOLD, settings=settings, config=config),
        evaluated(sft, sft_name(model)),
        SampleStage(name=found, model=sft, settings=drawn),
        # One sample less than there are, as the reference collects them.
        SelectStage(name=chosen, paths=(found,), rules="reference", ks=(preset.k - 1,)),
        TrainStage(name=rft_, model=model, data=chosen, k=preset.k - 1, settings=settings, config=config),
        evaluated(rft_, rft_name(model)),
    ]


def test_paths(preset: Preset, model: str) -> Stages:
    """Returns the distinct right paths among the samples for the test problems, of SFT and of RFT: those that voted."""
    return [
        *rft(preset, model),
        *(
            SelectStage(
                name=f"{trained}-test-set",
                paths=(evaluation(trained),),
                ks=tuple(k for k in preset.ks if k < preset.votes),
            )
            for trained in (sft_name(model), rft_name(model))
        ),
    ]


def _trained(
    preset: Preset, name: str, model: str, data: str, *, k: int | None = None, settings: tuple[str, ...] = ()
) -> TrainStage:
    return TrainStage(name=name, model=model, data=data, k=k, settings=settings, config=preset.train_of.get(model))


def _evaluated(
    preset: Preset, name: str, model: str, *, votes: bool = True, against: tuple[str, ...] = ()
) -> EvaluateStage:
    samples = (f"k={preset.votes}",) if votes and model in preset.voting else ()
    settings = (*samples, *_devices(preset, model))
    return EvaluateStage(name=evaluation(name), model=name, against=against, settings=settings)


def _devices(preset: Preset, model: str) -> tuple[str, ...]:
    return tuple(preset.sample_of.get(model, ()))
