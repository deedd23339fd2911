// The definition of every kernel: one that is missing does not compile. They are the same on every instruction set.
#pragma GCC diagnostic ignored "-Wunused-function"
#define ISA definition
#define ONLY_DEFINITIONS
#include "../kernels.cc"

extern const Kernel definitions[];
#define ENTRY(name) {#name, ISA::name##Definition},
const Kernel definitions[] = {KERNELS(ENTRY){nullptr, nullptr}};
