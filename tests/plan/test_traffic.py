"""Bytes, FLOPs and collectives of programs whose numbers are known by hand."""

import functools

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from rft_jax.plan import hlo, traffic
from rft_jax.runtime import make_mesh

F32 = jnp.float32


def counted(function, *shapes, donate=(), guesses=None):
    arguments = [jax.ShapeDtypeStruct(shape, F32) for shape in shapes]
    text = jax.jit(function, donate_argnums=donate).lower(*arguments).compile().as_text()
    return traffic.kernels(hlo.read(text), devices=1, per_host=1, guesses=guesses)


def total(kernels, name):
    return sum(kernel.times * getattr(kernel, name) for kernel in kernels)


def written(body, *, computations=""):
    """Returns the kernels of a program in XLA's own words."""
    text = f"HloModule m\n{computations}\nENTRY %main (a: f32[8]) -> f32[8] {{\n{body}\n}}\n"
    return traffic.kernels(hlo.read(text), devices=16, per_host=8)


def test_a_product_reads_both_sides_and_writes_the_result():
    kernels = counted(lambda a, b: a @ b, (64, 256), (256, 128))
    assert total(kernels, "flops") == 2 * 64 * 256 * 128
    assert total(kernels, "bytes") == 4 * (64 * 256 + 256 * 128 + 64 * 128)


def test_an_elementwise_chain_is_one_kernel():
    kernels = counted(lambda a, b: jnp.exp(a) * b + 1, (1000,), (1000,))
    assert total(kernels, "bytes") == 3 * 4000


def test_a_loop_counts_its_trips():
    def five(a, b):
        return jax.lax.fori_loop(0, 5, lambda _, x: jnp.tanh(x @ b), a)

    assert total(counted(five, (32, 32), (32, 32)), "flops") == 5 * 2 * 32**3


def test_a_loop_of_unknown_length_counts_as_the_caller_says():
    def some(a, count):
        return jax.lax.fori_loop(0, count[0].astype(jnp.int32), lambda _, x: x @ x, a)

    guesses = traffic.Guesses(trips=lambda loop, depth: 7.0)
    assert total(counted(some, (32, 32), (1,), guesses=guesses), "flops") == 7 * 2 * 32**3


def test_a_gather_reads_what_it_gathers():
    kernels = counted(lambda table, at: table[at.astype(jnp.int32)] * 2, (10_000, 16), (3,))
    assert total(kernels, "bytes") < 4 * 16 * 30  # of 640,000


def test_an_update_in_place_writes_what_it_changes():
    def write(pool, new):
        return jax.lax.dynamic_update_slice(pool, new * 2, (0, 0))

    kernels = counted(write, (10_000, 16), (2, 16), donate=(0,))
    assert total(kernels, "bytes") <= 4 * 2 * 16 * 4


FUSIONS = """
%slices (p: f32[1000,8], q: s32[]) -> f32[1,8] {
  %p = f32[1000,8]{1,0} parameter(0)
  %q = s32[] parameter(1)
  %zero = s32[] constant(0)
  ROOT %part = f32[1,8]{1,0} dynamic-slice(%p, %q, %zero), dynamic_slice_sizes={1,8}
}
%updates (p: f32[1000,8], n: f32[2,8], q: s32[]) -> f32[1000,8] {
  %p = f32[1000,8]{1,0} parameter(0)
  %n = f32[2,8]{1,0} parameter(1)
  %q = s32[] parameter(2)
  %zero = s32[] constant(0)
  ROOT %new = f32[1000,8]{1,0} dynamic-update-slice(%p, %n, %q, %zero)
}
"""


def test_a_fusion_that_slices_reads_the_slice():
    (kernel,) = written(
        "  %a = f32[1000,8]{1,0} parameter(0)\n  %i = s32[] parameter(1)\n"
        "  ROOT %f = f32[1,8]{1,0} fusion(%a, %i), kind=kLoop, calls=%slices",
        computations=FUSIONS,
    )
    assert kernel.bytes == 32 + 4 + 32


def test_a_fusion_that_updates_in_place_writes_the_update():
    (kernel,) = written(
        "  %a = f32[1000,8]{1,0} parameter(0)\n  %n = f32[2,8]{1,0} parameter(1)\n  %i = s32[] parameter(2)\n"
        "  ROOT %f = f32[1000,8]{1,0} fusion(%a, %n, %i), kind=kLoop, calls=%updates",
        computations=FUSIONS,
    )
    assert kernel.bytes == 64 + 4 + 64


def test_what_lies_on_the_chip_costs_no_memory():
    (kernel,) = written("  %a = f32[8]{0:T(128)} parameter(0)\n  ROOT %c = f32[8]{0:T(128)S(1)} copy(%a)")
    assert kernel.bytes == 32


@pytest.mark.parametrize(
    ("line", "sent", "hosts"),
    [
        ("f32[64]{0} all-gather(%a), replica_groups={{0,1,2,3,4,5,6,7},{8,9,10,11,12,13,14,15}}", 7 * 32, False),
        ("f32[16]{0} all-gather(%a), replica_groups=[8,2]<=[2,8]T(1,0)", 32, True),
        ("f32[8]{0} all-reduce(%a), replica_groups=[1,16]<=[16], to_apply=%sum", 2 * 32 * 15 / 16, True),
        ("f32[2]{0} reduce-scatter(%a), replica_groups=[4,4]<=[16], to_apply=%sum", 32 * 3 / 4, False),
        ("f32[8]{0} all-to-all(%a), replica_groups=[2,8]<=[16]", 32 * 7 / 8, False),
        ("f32[8]{0} collective-permute(%a), source_target_pairs={{0,1},{1,2},{7,8}}", 32, True),
        ("(f32[8]{0}, f32[64]{0}) all-gather-start(%a), replica_groups=[2,8]<=[16]", 7 * 32, False),
    ],
)
def test_what_a_collective_sends(line, sent, hosts):
    (kernel,) = written(f"  %a = f32[8]{{0}} parameter(0)\n  ROOT %c = {line}")
    assert (kernel.sent, kernel.hosts) == (sent, hosts)


def test_collectives_of_a_real_program():
    mesh = make_mesh(1, 8, 1)
    with jax.set_mesh(mesh):
        split = NamedSharding(mesh, P("fsdp", None))
        a = jax.ShapeDtypeStruct((64, 32), F32, sharding=split)
        gathered = functools.partial(jax.reshard, out_shardings=P(None, None))
        text = jax.jit(lambda a: jnp.exp(gathered(a))).lower(a).compile().as_text()
    kernels = traffic.kernels(hlo.read(text), devices=8, per_host=8)
    assert sum(kernel.sent for kernel in kernels) == 4 * 64 * 32 * 7 / 8


def test_convolutions_are_counted_without_their_padding():
    # Four heads as one convolution: the window of each output falls on one head, the rest of it on padding.
    (kernel,) = written(
        "  %a = bf16[4,128,64]{2,1,0} parameter(0)\n  %b = bf16[4,64,256]{2,1,0} parameter(1)\n"
        "  ROOT %c = bf16[4,128,256]{2,1,0} convolution(%a, %b), window={size=4 stride=3 pad=3_3 lhs_dilate=4 "
        "rhs_reversal=1}, dim_labels=0bf_0io->0bf"
    )
    assert kernel.flops == 4 * 2 * 128 * 64 * 256
