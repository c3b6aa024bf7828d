# make run                                      sets everything up, tracks the clip in demo/street and scores it
# make run SOURCE=video.mp4 MODEL=yolov8n.pt   tracks yours; without MODEL by the embedded model
# make test                                    sets everything up and runs lint, types and tests
# make docs                                    builds the documentation as a site, in site/
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
CLIP := demo/street/street.mp4
SOURCE ?= $(CLIP)
OPTIONS ?=
# What OpenCV needs of the system, and what the integration tests drive: a browser and an RTSP server.
OPENCV_PACKAGES := libgl1 libglib2.0-0 libxcb1
TEST_PACKAGES := chromium chromium-driver gir1.2-gst-rtsp-server-1.0 python3-gi \
	gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly

.PHONY: run demo setup test lint format docs clean

run: setup
	@$(BIN)/streamdet track "$(SOURCE)" --verbose $(if $(MODEL),--model "$(MODEL)") \
		$(if $(filter $(CLIP),$(SOURCE)),--truth demo/street) $(OPTIONS)

demo: $(VENV)/.ready-demo
	@$(BIN)/streamdet demo $(if $(MODEL),--model "$(MODEL)")

setup: $(VENV)/.ready

test: $(VENV)/.ready-test lint
	@sh scripts/system_packages.sh $(TEST_PACKAGES)
	$(BIN)/pytest

lint: $(VENV)/.ready-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.ready-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.ready-test
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo site/index.html

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis dist site

$(VENV)/.torch: constraints.txt
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python scripts/install_torch.py
	@touch $@

$(VENV)/.ready: $(VENV)/.torch pyproject.toml
	@$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[cpu,eval]'
	@$(BIN)/python -c "import cv2" 2>/dev/null || sh scripts/system_packages.sh $(OPENCV_PACKAGES)
	@touch $@

$(VENV)/.ready-demo: $(VENV)/.ready
	@$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[cpu,demo,eval]'
	@touch $@

$(VENV)/.ready-test: $(VENV)/.ready
	@$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[test]'
	@touch $@
