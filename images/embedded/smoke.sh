set -eu
[ "$(id -un)" = sandbox ] && [ "$(id -u)" = 1000 ] && [ "$HOME" = /home/sandbox ] && [ "$PWD" = /home/sandbox ]
cd "$(mktemp -d)"

cat >main.c <<'C'
#include <stdint.h>
#include <string.h>
static char buf[16];
int main(void) { memset(buf, 1, sizeof buf); for (;;) { *(volatile uint32_t *)0x40000000 = (uint32_t)buf[3]; } }
void Reset_Handler(void) { main(); }
C
# The cross compiler, its C library and the linker make firmware for a Cortex-M4.
arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb -Os -g --specs=nosys.specs -nostartfiles -Wl,-e,Reset_Handler -o fw.elf main.c
arm-none-eabi-readelf -h fw.elf | grep -q 'Machine: *ARM'
arm-none-eabi-readelf -A fw.elf | grep -q 'Tag_CPU_name: "7E-M"'
arm-none-eabi-objcopy -O binary fw.elf fw.bin && [ -s fw.bin ]
gdb-multiarch --batch -ex 'set architecture armv7e-m' -ex 'info functions Reset_Handler' fw.elf | grep -q Reset_Handler

# A host build with CMake and Ninja.
cat >CMakeLists.txt <<'C'
cmake_minimum_required(VERSION 3.20)
project(smoke C CXX)
add_executable(smoke smoke.cpp)
C
printf '#include <iostream>\nint main() { std::cout << "hello\\n"; }\n' >smoke.cpp
cmake -G Ninja -B b . >/dev/null && ninja -C b >/dev/null && [ "$(b/smoke)" = hello ]
openocd --version 2>&1 | grep -q 'Open On-Chip Debugger'
python3 -c 'import serial; print(serial.VERSION)' >/dev/null
picocom --help >/dev/null
git --version >/dev/null
echo ok embedded
