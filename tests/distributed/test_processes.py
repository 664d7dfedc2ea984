"""What the environment says about the processes of a run: all of it, or one line on what is wrong."""

import pytest

from rft_jax.distributed.processes import Processes, from_environment, visible_gpus
from rft_jax.errors import UserError

JAX = {"JAX_COORDINATOR_ADDRESS": "node1:1234", "JAX_NUM_PROCESSES": "4", "JAX_PROCESS_ID": "3"}
STEP = {
    "SLURM_JOB_ID": "77", "SLURM_STEP_ID": "0", "SLURM_STEP_NODELIST": "node[07-09,12],other", "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1", "SLURM_NODEID": "2", "SLURM_STEP_NUM_TASKS": "8", "SLURM_STEP_TASKS_PER_NODE": "2(x4)",
}  # fmt: skip
ONE_PER_HOST = STEP | {
    "SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "2", "SLURM_LOCALID": "0", "SLURM_STEP_TASKS_PER_NODE": "1(x4)",
}  # fmt: skip


def test_jax_variables():
    assert from_environment(JAX, gpus=8) == Processes(4, 3, "node1:1234")


def test_a_kubernetes_job():
    """An indexed job with a headless service, as launch/kubernetes/ makes it."""
    pod = {"JAX_COORDINATOR_ADDRESS": "train-0.train:1234", "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "1"}
    others = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "1", "HOSTNAME": "train-1"}
    assert from_environment(pod | others, gpus=8) == Processes(2, 1, "train-0.train:1234")


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"JAX_NUM_PROCESSES": "1"},
        JAX | {"JAX_NUM_PROCESSES": "1", "JAX_PROCESS_ID": "0"},
        {"SLURM_JOB_ID": "77", "SLURM_NTASKS": "8", "SLURM_PROCID": "0"},  # in a batch script, outside of any step
        STEP | {"SLURM_STEP_NUM_TASKS": "1"},
        {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "10", "SLURM_ARRAY_TASK_MAX": "9"},
        {"OMPI_COMM_WORLD_SIZE": "1"},
        {"TPU_WORKER_HOSTNAMES": "localhost", "TPU_WORKER_ID": "0"},
    ],
)
def test_alone(environment):
    assert from_environment(environment, gpus=1) is None


def test_a_slurm_step():
    alone = from_environment(ONE_PER_HOST, gpus=8)
    assert (alone.count, alone.number, alone.local_devices) == (4, 2, None)  # all that it sees
    assert alone.address.startswith("node07:")
    two = from_environment(STEP, gpus=8)
    assert (two.count, two.number, two.local_devices) == (8, 5, (4, 5, 6, 7))
    assert from_environment(STEP, gpus=2).local_devices == (1,)
    assert from_environment(STEP, gpus=1).local_devices is None  # SLURM gave each task its own
    assert from_environment(STEP | {"SLURM_GPUS_PER_TASK": "4"}, gpus=4).local_devices is None
    assert from_environment(STEP | {"SLURM_GPUS_ON_NODE": "8"}, gpus=4).local_devices is None
    assert from_environment(STEP, gpus=0).local_devices is None


@pytest.mark.parametrize(
    ("hosts", "first"),
    [
        ("a", "a"),
        ("a,b", "a"),
        ("a[1-3]", "a1"),
        ("a[001,007-015],b", "a001"),
        ("a[1-3].example.org,b", "a1.example.org"),
    ],
)
def test_the_first_host_is_the_coordinator(hosts, first):
    address = from_environment(ONE_PER_HOST | {"SLURM_STEP_NODELIST": hosts}, gpus=0).address
    assert address.rpartition(":")[0] == first


def test_steps_and_jobs_have_ports_of_their_own():
    def port(job, step):
        return from_environment(STEP | {"SLURM_JOB_ID": str(job), "SLURM_STEP_ID": str(step)}, gpus=0).address

    assert len({port(77, step) for step in range(1000)}) == 1000
    assert len({port(job, 0) for job in range(1000)}) == 1000


def test_hosts_of_different_sizes():
    uneven = STEP | {"SLURM_STEP_TASKS_PER_NODE": "2(x3),1,1", "SLURM_NODEID": "4", "SLURM_LOCALID": "0"}
    assert from_environment(uneven, gpus=4).local_devices is None


def test_slurm_completes_what_jax_is_given():
    assert from_environment(STEP | {"JAX_COORDINATOR_ADDRESS": "a:1"}, gpus=2) == Processes(8, 5, "a:1", (1,))


def test_found_by_jax():
    open_mpi = {
        "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_LOCAL_RANK": "1",
        "OMPI_MCA_orte_hnp_uri": "1;tcp://10.0.0.1:1",
    }  # fmt: skip
    assert from_environment(open_mpi, gpus=2) == Processes()
    assert from_environment({"TPU_WORKER_HOSTNAMES": "a,b", "TPU_WORKER_ID": "1"}, gpus=0) == Processes()


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        (JAX | {"JAX_NUM_PROCESSES": "two"}, "JAX_NUM_PROCESSES=two is no number"),
        ({"JAX_NUM_PROCESSES": "two"}, "JAX_NUM_PROCESSES=two is no number"),
        (JAX | {"JAX_PROCESS_ID": "4"}, "JAX_PROCESS_ID=4 and JAX_NUM_PROCESSES=4"),
        (JAX | {"JAX_PROCESS_ID": "-1"}, "JAX_PROCESS_ID=-1"),
        (JAX | {"JAX_NUM_PROCESSES": "0", "JAX_PROCESS_ID": "0"}, "JAX_NUM_PROCESSES=0"),
        (JAX | {"JAX_COORDINATOR_ADDRESS": "node1"}, "no host:port"),
        ({"JAX_COORDINATOR_ADDRESS": "a:1"}, "is set, but not JAX_NUM_PROCESSES and JAX_PROCESS_ID"),
        ({"JAX_NUM_PROCESSES": "2"}, "is set, but not JAX_COORDINATOR_ADDRESS and JAX_PROCESS_ID"),
        ({"JAX_PROCESS_ID": "0"}, "is set, but not JAX_COORDINATOR_ADDRESS and JAX_NUM_PROCESSES"),
        ({"JAX_COORDINATOR_ADDRESS": "a:1", "JAX_NUM_PROCESSES": "2"}, "are set, but not JAX_PROCESS_ID"),
        (STEP | JAX, "this is task 5 of a SLURM step of 8"),
        ({"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "0"}, "SLURM_JOB_ID, SLURM_STEP_ID"),
        (STEP | {"SLURM_STEP_NUM_TASKS": "many"}, "SLURM_STEP_NUM_TASKS=many is no number"),
        (STEP | {"SLURM_PROCID": "8"}, "SLURM_PROCID=8"),
        (STEP | {"SLURM_GPUS_ON_NODE": "gpu:8"}, "SLURM_GPUS_ON_NODE=gpu:8 is no number"),
        (STEP | {"SLURM_STEP_TASKS_PER_NODE": "2"}, "how many of the 8 tasks run on this host"),
        (STEP | {"SLURM_STEP_TASKS_PER_NODE": "x"}, "how many of the 8 tasks run on this host"),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, "start it by mpirun"),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, r"TPU_WORKER_ID=\(not set\) is no number"),
        ({"TPU_WORKER_HOSTNAMES": "a,b", "TPU_WORKER_ID": "2"}, "names 2 hosts"),
    ],
)  # fmt: skip
def test_half_set_or_wrong(environment, told):
    with pytest.raises(UserError, match=told) as error:
        from_environment(environment, gpus=0)
    assert "\n" not in str(error.value)


def test_gpus_are_counted_without_waking_them():
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "0,1,2"}) == 3
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": ""}) == 0
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "GPU-1a2b, GPU-3c4d"}) == 2
    assert visible_gpus({}) >= 0
