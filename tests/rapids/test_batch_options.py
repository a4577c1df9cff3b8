"""The options that batch scripts give to dask-cuda, held against its real command; run by `make test-rapids`."""

import pytest

from tests.examples.test_batch_scripts import check_options

pytestmark = [pytest.mark.rapids, pytest.mark.filterwarnings("default")]


def test_dask_cuda_has_the_options_that_are_given_to_it():
    worker = pytest.importorskip("dask_cuda.cli").worker
    check_options("dask cuda worker", worker)
