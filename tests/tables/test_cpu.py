from __future__ import annotations

from pathlib import Path

import pytest

from twhin_spark.tables import cpu

_CORE = "processor : {}\nmodel name\t: AMD EPYC\nflags\t\t: fpu sse2 {}\n\n"


def test_one_name_with_other_vectors_is_another_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "_INFO", info := tmp_path / "cpuinfo")
    info.write_text(_CORE.format(0, "avx avx2") + _CORE.format(1, "avx avx2"))
    assert cpu.cpu_name() == "AMD EPYC with avx2"
    info.write_text(_CORE.format(0, "avx avx2 avx512f"))
    assert cpu.cpu_name() == "AMD EPYC with avx512f"


def test_a_system_without_that_file_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "_INFO", tmp_path / "none")
    assert cpu.cpu_name()
