"""An ensemble as CMIP6 has it: a file a member and period, joined along the new dimension member and along time."""

import os

import apache_beam as beam

from vz_beam import CombineManifests, ConcatDim, FilePattern, OpenWithVirtualizarr, WriteReferences

ROOT = os.environ.get("CMIP_ROOT", "s3://cmip6-example/CMIP6/CMIP/MPI-M/MPI-ESM1-2-LR/historical")
MEMBERS = ["r1i1p1f1", "r2i1p1f1", "r3i1p1f1"]
PERIODS = ["185001-186912", "187001-188912", "189001-190912"]


def url_of(member: str, time: str) -> str:
    """The file of a member and a period."""
    return f"{ROOT}/{member}/Amon/tas/gn/tas_Amon_MPI-ESM1-2-LR_historical_{member}_gn_{time}.nc"


pattern = FilePattern(url_of, ConcatDim("member", MEMBERS), ConcatDim("time", PERIODS))

recipe = (
    beam.Create(pattern.items())
    | OpenWithVirtualizarr()
    | CombineManifests(attributes={"*": "drop_conflicts"})
    | WriteReferences("tas.parquet")
)

if __name__ == "__main__":
    from pipelines.feedstocks.run import run

    run(recipe)
