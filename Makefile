# make demo       the bundled bag through the live node; BAG= MODEL= MODALITY= FAULTS=1 OUT= for others
# make test       all tests but the slow ones, the runtime's with every Python that is found
# make test-all   the slow ones too
# make system     the apt packages that the simulation renders with (as root, on Debian and Ubuntu)
# make .venv      the developer's environment (.venv-demo and the others likewise)
# make clean      remove what all these made

.DELETE_ON_ERROR:
.NOTPARALLEL:
.SUFFIXES:
.DEFAULT_GOAL := help

SYSTEM_PACKAGES := libegl1 libgl1-mesa-dri
RUNTIME_TESTS := $(wildcard $(addprefix test/,core bags inference report evaluation nodes demo) test/test_*.py)
ROBOT_TESTS := $(wildcard test/core test/inference)
REQUIREMENTS := setup.py requirements-robot.txt $(wildcard constraints/*.txt)

# Inherited from a program of a wheel environment, this keeps ROS from wheels from starting.
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE

ifdef ROS_DISTRO
# A ROS installation is sourced: its Python, its packages, and its numpy and OpenCV left alone. The constraints ask for
# the numpy that is there and for an OpenCV wheel that does not exist, so that pip stops where it would replace them.
define use_system
$(python) -c 'import numpy; print(f"numpy=={numpy.__version__}\nopencv-python==0\nopencv-python-headless==0")' > $(@D)/constraints.txt
$(pip) --no-deps -r requirements-robot.txt
endef
interpreter = $(shell command -v python3)
venv_options := --system-site-packages
constraints = $(@D)/constraints.txt
main_extras := report,test
main_tests = -m "not torch$(if $(slow),, and not slow)" $(RUNTIME_TESTS)
demo_extras := report
else
unexport PYTHONPATH LD_LIBRARY_PATH
find_python := scripts/find_python
interpreter = $(shell $(find_python) $(versions))
constraints = constraints/tested.txt
main_extras := all
main_tests = $(if $(slow),,-m "not slow")
demo_extras := demo
pythons := $(foreach version,3.10 3.12 3.13,$(if $(shell $(find_python) $(version)),$(version)))
robots := $(if $(filter 3.10,$(pythons)),jetpack-6) $(if $(filter 3.12,$(pythons)),ubuntu-24.04)
endif

# An environment is finished when its stamp is there. What makes it: Pythons in order of preference, extras of setup.py,
# and the versions it is held to.
python_stamps := $(pythons:%=.venv-%/.made)
robot_stamps := $(robots:%=.venv-%/.made)
stamps := .venv/.made .venv-demo/.made $(python_stamps) $(robot_stamps)
.venv/.made .venv-demo/.made: versions := 3.11 3.12 3.13 3.10
.venv/.made: extras := $(main_extras)
.venv-demo/.made: extras := $(demo_extras)
$(python_stamps): versions = $(@:.venv-%/.made=%)
$(python_stamps): extras := demo,test
.venv-jetpack-6/.made: versions := 3.10
.venv-ubuntu-24.04/.made: versions := 3.12
$(robot_stamps): extras := runtime,test
$(robot_stamps): constraints = constraints/$(@:.venv-%/.made=%).txt

python = $(@D)/bin/python
pip = $(python) -m pip install -qq --disable-pip-version-check

.PHONY: help demo test test-all test-main system clean $(pythons:%=test-%) $(robots:%=test-%)

help:
	@sed -n 's/^# make/make/p' Makefile

demo: .venv-demo
	.venv-demo/bin/gemini-ros demo $(if $(BAG),--bag "$(BAG)") $(if $(MODEL),--model "$(MODEL)") \
	    $(if $(MODALITY),--modality "$(MODALITY)") $(if $(FAULTS),--faults) $(if $(OUT),--out "$(OUT)")

test-all: slow := yes
test test-all: test-main $(pythons:%=test-%) $(robots:%=test-%)

test-main: .venv
	.venv/bin/python -m pytest $(if $(slow),--hypothesis-profile=search) $(main_tests)

$(pythons:%=test-%): test-%: .venv-%/.made
	.venv-$*/bin/python -m pytest -m "not torch and not slow" $(RUNTIME_TESTS)

$(robots:%=test-%): test-%: .venv-%/.made
	.venv-$*/bin/python -m pytest -m "not torch and not slow" $(ROBOT_TESTS)

$(stamps:/.made=): %: %/.made

$(stamps): $(REQUIREMENTS)
	@[ -n "$(interpreter)" ] || { echo "No Python of $(versions) with venv and ensurepip was found" >&2; exit 1; }
	[ -x $(python) ] || $(interpreter) -m venv --clear $(venv_options) $(@D)
	$(pip) --upgrade pip
	$(use_system)
	$(pip) --constraint $(constraints) --editable '.[$(extras)]'
	@touch $@

system:
	@missing=$$(for name in $(SYSTEM_PACKAGES); do dpkg --status $$name >/dev/null 2>&1 || echo $$name; done); \
	[ -z "$$missing" ] || { apt-get update && apt-get install --yes --no-install-recommends $$missing; }

clean:
	rm -rf .venv .venv-* build install log demo_output gemini_ros.egg-info
