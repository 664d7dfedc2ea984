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
    with pytest.raises(UserError, match="2 tasks of a SLURM step cannot share this host's 3 GPUs evenly"):
        from_environment(STEP, gpus=3)
    assert from_environment(STEP | {"JAX_PLATFORMS": "cpu"}, gpus=3).local_devices is None


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


def slices_of(number, slices, hosts=2, listing="TPU_WORKER_HOSTNAMES"):
    """Returns the variables that GKE sets in the pods of slice `number`; with one slice, no MEGASCALE_*."""
    names = ",".join(f"job-{number}-{host}.job" for host in range(hosts))
    several = {"MEGASCALE_NUM_SLICES": str(slices), "MEGASCALE_SLICE_ID": str(number)} | {
        "MEGASCALE_COORDINATOR_ADDRESS": "job-0-0.job:8080"
    }
    return [
        {listing: names, "TPU_WORKER_ID": str(host)} | (several if slices > 1 else {}) for host in range(hosts)
    ]  # fmt: skip


ONE_SLICE = slices_of(0, 1, hosts=4)
TWO_SLICES = slices_of(0, 2) + slices_of(1, 2)
SLICES_OF_ONE_HOST = slices_of(0, 3, hosts=1) + slices_of(1, 3, hosts=1) + slices_of(2, 3, hosts=1)


@pytest.mark.parametrize("pods", [ONE_SLICE, TWO_SLICES, SLICES_OF_ONE_HOST])
def test_tpu_slices(pods):
    found = [from_environment(pod, gpus=0) for pod in pods]
    assert found == [Processes(len(pods), number, "job-0-0.job:8482") for number in range(len(pods))]


@pytest.mark.parametrize(
    "pods", [ONE_SLICE, TWO_SLICES, SLICES_OF_ONE_HOST, slices_of(0, 1, listing="TPU_PROCESS_ADDRESSES")]
)
@pytest.mark.parametrize("more", [{}, {"JAX_COORDINATOR_PORT": "1234"}])
def test_tpu_slices_are_the_processes_that_jax_would_find(pods, more, monkeypatch):
    jaxs = pytest.importorskip("jax._src.clusters.cloud_tpu_cluster")
    monkeypatch.setattr(jaxs, "get_metadata", lambda key: ("", 404))  # there is no Google machine to ask
    monkeypatch.setattr(jaxs.GkeTpuCluster, "wait_for_coordinator", lambda *_: None)
    for pod in pods:
        with monkeypatch.context() as environment:
            for name, value in (pod | more).items():
                environment.setenv(name, value)
            found = Processes(
                jaxs.GkeTpuCluster.get_process_count(),
                jaxs.GkeTpuCluster.get_process_id(),
                jaxs.GkeTpuCluster.get_coordinator_address(1, more.get("JAX_COORDINATOR_PORT")),
            )
        assert from_environment(pod | more, gpus=0) == found


def test_tpu_slices_beside_jax_variables():
    """As in launch/kubernetes/train.yaml on TPUs: both say the same, and the address is the one that is given."""
    for number, pod in enumerate(ONE_SLICE):
        assert from_environment(pod | JAX | {"JAX_PROCESS_ID": str(number)}, gpus=0) == Processes(
            4, number, "node1:1234"
        )
        assert from_environment(pod | {"JAX_COORDINATOR_ADDRESS": "a:1"}, gpus=0) == Processes(4, number, "a:1")


def test_found_by_jax():
    open_mpi = {
        "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_LOCAL_RANK": "1",
        "OMPI_MCA_orte_hnp_uri": "1;tcp://10.0.0.1:1",
    }  # fmt: skip
    assert from_environment(open_mpi, gpus=2) == Processes()


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
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, "TPU_WORKER_HOSTNAMES is set, but not TPU_WORKER_ID"),
        ({"TPU_WORKER_ID": "1"}, "TPU_WORKER_ID is set, but not TPU_WORKER_HOSTNAMES"),
        ({"TPU_WORKER_HOSTNAMES": "a,b", "TPU_WORKER_ID": "2"}, "names 2 hosts"),
        ({"TPU_WORKER_HOSTNAMES": "a,b", "TPU_WORKER_ID": "one"}, "TPU_WORKER_ID=one is no number"),
        ({"MEGASCALE_NUM_SLICES": "2"}, "MEGASCALE_NUM_SLICES is set, but not MEGASCALE_SLICE_ID"),
        ({"MEGASCALE_COORDINATOR_ADDRESS": "a:1"}, "is set, but not MEGASCALE_NUM_SLICES and MEGASCALE_SLICE_ID"),
        (ONE_SLICE[0] | {"MEGASCALE_SLICE_ID": "1"}, "but not MEGASCALE_NUM_SLICES"),
        (TWO_SLICES[0] | {"MEGASCALE_SLICE_ID": "2"}, "MEGASCALE_SLICE_ID=2 and MEGASCALE_NUM_SLICES=2"),
        (TWO_SLICES[0] | {"MEGASCALE_NUM_SLICES": "two"}, "MEGASCALE_NUM_SLICES=two is no number"),
        (TWO_SLICES[0] | {"JAX_COORDINATOR_PORT": "x"}, "JAX_COORDINATOR_PORT=x is no number"),
        (ONE_SLICE[0] | JAX, "by the TPU's variables this is host 0 of 4"),
        (TWO_SLICES[3] | JAX | {"JAX_NUM_PROCESSES": "8"}, "by the TPU's variables this is host 3 of 4"),
    ],
)  # fmt: skip
def test_half_set_or_wrong(environment, told):
    with pytest.raises(UserError, match=told) as error:
        from_environment(environment, gpus=0)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("pod", [ONE_SLICE[1], TWO_SLICES[3], SLICES_OF_ONE_HOST[1]])
def test_a_host_of_a_slice_that_lacks_a_variable_does_not_run_alone(pod):
    for name in pod:
        with pytest.raises(UserError, match="set, but not"):
            from_environment({other: value for other, value in pod.items() if other != name}, gpus=0)


def test_gpus_are_counted_without_waking_them():
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "0,1,2"}) == 3
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": ""}) == 0
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "GPU-1a2b, GPU-3c4d"}) == 2
    assert visible_gpus({}) >= 0
