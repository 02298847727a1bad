# SPDX-License-Identifier: EUPL-1.2
# Short names for what people do here. Every target first installs the Debian packages that it
# misses (tools/packages), then works in build*/ and var/, which are never committed.
#   make              the release program, build/vgm
#   make run          a demo hospital that plays a day of mail and stays up until Ctrl-C
#   make demo         the same day, without staying; fails if a message missed its fate
#   make test         all tests of the first tier (test-night, test-release: larger counts)
#   make bench        figures beside a bare Postfix (BENCH=--quick for a first look)
BUILD ?= build
NINJA = ninja -C $(BUILD)

.PHONY: all run demo test test-night test-release bench fuzz format clean

all:
	@tools/packages build
	@test -f $(BUILD)/build.ninja || meson setup $(BUILD) -Dtests=false
	@$(NINJA)
	@ln -sf src/cmd/vgm $(BUILD)/vgm

run: all
	@tools/packages run
	@tools/demo --stay --build $(BUILD) $(DEMO)

demo: all
	@tools/packages run
	@tools/demo --build $(BUILD) $(DEMO)

test test-night test-release:
	@tools/packages test
	@test/run --tier $(patsubst test-%,%,$@) $(TEST)

bench: all
	@tools/packages bench
	@test/bench/bench.py --build $(BUILD) $(BENCH)

# FUZZ="--seconds 600 smtp_command" for one target, longer
fuzz:
	@tools/packages test
	@test/run --only fuzz --tier night $(if $(FUZZ),--fuzz "$(FUZZ)")

format:
	@command -v clang-format >/dev/null || { echo "make format: clang-format is missing" >&2; exit 1; }
	@git ls-files '*.c' '*.h' | xargs clang-format -i

clean:
	rm -rf build build-* var/test var/demo
