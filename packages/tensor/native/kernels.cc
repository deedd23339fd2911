// All kernels for one instruction set, named by ISA; compiled once for each.
#include "parallel.h"
#include "simd.h"

#include "ops/matMul.h"

#include "ops/adamW.h"
#include "ops/attention.h"
#include "ops/elementwise.h"
#include "ops/compare.h"
#include "ops/embedding.h"
#include "ops/geglu.h"
#include "ops/head.h"
#include "ops/integers.h"
#include "ops/layout.h"
#include "ops/multiplyAdds.h"
#include "ops/noise.h"
#include "ops/pad.h"
#include "ops/reduce.h"
#include "ops/rmsNorm.h"
#include "ops/rotary.h"
#include "ops/sumSquares.h"
#include "ops/swiglu.h"

#include "kernelList.h"

#if !defined(ONLY_DEFINITIONS)  // test/definitions.cc takes no more than the definitions
namespace ISA {

#define ENTRY(name) {#name, name},
extern const Kernel table[];
const Kernel table[] = {KERNELS(ENTRY){nullptr, nullptr}};
#undef ENTRY

}  // namespace ISA
#endif
