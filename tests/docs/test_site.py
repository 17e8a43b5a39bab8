import os
import re
import subprocess
import sys
from pathlib import Path

import aios3get

_root = Path(__file__).parents[2]
_environ = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONWARNINGS": "default"}


def test_site_builds_without_warnings_and_describes_the_public_names(tmp_path: Path) -> None:
    # mkdocs.yml sets strict, which makes every warning an error.
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(tmp_path)]
    built = subprocess.run(
        command, cwd=_root, env=_environ, check=False, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr
    reference = (tmp_path / "api.html").read_text()
    names = set(aios3get.__all__) - {"ANONYMOUS", "__version__", "errors"}
    missing = {name for name in names if f'id="aios3get.{name}"' not in reference}
    assert not missing
    for name in ("S3Client.get_object", "S3Client.download_object", "errors.NoSuchKey"):
        assert f'id="aios3get.{name}"' in reference
    pages = {page.stem for page in (_root / "docs").glob("*.md")}
    assert pages < {page.stem for page in tmp_path.glob("*.html")}
    assert 'href="reading.html"' in (tmp_path / "index.html").read_text()
    assert 'id="fastapi_service"' in (tmp_path / "examples.html").read_text()
    # The site works without a network.
    for page in tmp_path.rglob("*.html"):
        text = page.read_text()
        loaded = re.findall(r'<(?:script|img|iframe)[^>]* src="(https?:[^"]+)"', text)
        loaded += re.findall(r'<link rel="(?:stylesheet|preload)" href="(https?:[^"]+)"', text)
        assert not loaded, page
        # Material loads the program that draws them from another host.
        assert 'class="mermaid"' not in text, page
