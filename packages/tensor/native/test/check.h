// What the tests of the kernels share: arrays with guarded ends, comparison with a definition, numerical gradients.
//
// A test is TEST(kernel) { ... } in any .cc of this folder. main.cc runs one for every kernel of kernelList.h and fails where
// there is none. The kernels are the objects of kernels.cc, one for each instruction set; definitions.cc holds the definitions.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "../kernelList.h"

namespace test {

using Floats = std::vector<float>;
using Ints = std::vector<int32_t>;
using Doubles = std::vector<double>;
using Bytes = std::vector<uint8_t>;

constexpr float INF = std::numeric_limits<float>::infinity();
constexpr float NOT_A_NUMBER = std::numeric_limits<float>::quiet_NaN();
/** Half a unit in the last place of 1: the relative error of one rounding. */
constexpr double EPS = 0x1p-24;
/** The least normal float: below it, relative errors grow. */
constexpr double TINY = 0x1p-126;

/** Sizes around the widths of registers, tiles and panels. */
inline const std::vector<int64_t> awkward = {1, 2, 3, 15, 16, 17, 31, 32, 33, 100, 257};

/** Random numbers from a fixed seed (splitmix64). */
class Random {
 public:
  explicit Random(uint64_t seed = 1) : state(seed) {}
  uint64_t bits();
  /** In [0, 1). */
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1p-53; }
  double normal();
  int64_t below(int64_t n) { return static_cast<int64_t>(bits() % static_cast<uint64_t>(n)); }
  Floats normals(int64_t n, double scale = 1);
  /** Multiples of 2^-8 in [-1, 1): sums and steps of them are exact. */
  Floats grid(int64_t n);
  /** Integers from -most to most: their products and sums are exact. */
  Floats integers(int64_t n, int64_t most);
  Ints ids(int64_t n, int64_t below);

 private:
  uint64_t state;
};

enum class Kind { FLOAT, INT, DOUBLE, BYTE };
inline size_t widthOf(Kind kind) { return kind == Kind::DOUBLE ? 8 : kind == Kind::BYTE ? 1 : 4; }

/** An array that a kernel writes; `over`: the memory of this argument, an input, instead of its own. */
struct Out {
  int64_t size;
  Kind kind = Kind::FLOAT;
  int over = -1;
};

/** An array that a kernel may use as it likes. */
struct Scratch {
  int64_t size;
};

/** One array of a call: the contents of an input, or the size of an output. */
struct Argument {
  Argument(Floats values) : kind(Kind::FLOAT), size(static_cast<int64_t>(values.size())), floats(std::move(values)) {}
  Argument(Ints values) : kind(Kind::INT), size(static_cast<int64_t>(values.size())), ints(std::move(values)) {}
  Argument(Bytes values) : kind(Kind::BYTE), size(static_cast<int64_t>(values.size())), octets(std::move(values)) {}
  Argument(Out out) : kind(out.kind), output(true), size(out.size), over(out.over) {}
  Argument(Scratch room) : kind(Kind::FLOAT), scratch(true), size(room.size) {}
  const void* contents() const {
    return kind == Kind::INT ? static_cast<const void*>(ints.data()) : kind == Kind::BYTE ? static_cast<const void*>(octets.data()) : floats.data();
  }
  size_t bytes() const { return static_cast<size_t>(size) * widthOf(kind); }

  Kind kind;
  bool output = false, scratch = false;
  int64_t size;
  int over = -1;
  Floats floats;
  Ints ints;
  Bytes octets;
};

struct Call {
  std::string kernel;
  std::vector<Argument> arguments;
  Doubles numbers;
};

/** What a call wrote, output by output. Every output is full of 0xFF bytes before the call: NaNs that no arithmetic makes. */
struct Output {
  Kind kind;
  std::vector<unsigned char> memory;
  int64_t size() const { return static_cast<int64_t>(memory.size() / widthOf(kind)); }
  double at(int64_t i) const;
  uint64_t bits(int64_t i) const;
  bool written(int64_t i) const { return bits(i) != ~uint64_t{0} >> (64 - 8 * widthOf(kind)); }
  Doubles values() const;
  Floats floats() const;
};
using Outputs = std::vector<Output>;

/** The instruction sets with kernels that this machine can run. */
struct InstructionSet {
  const char* name;
  const Kernel* table;
  bool fusedMultiplyAdd;
};
const std::vector<InstructionSet>& instructionSets();

/** Runs the definition of a kernel, or the kernel of one instruction set. */
Outputs define(const Call& call);
Outputs run(const InstructionSet& set, const Call& call, int threads = 1);
/** The outputs on every instruction set. */
std::vector<Outputs> runAll(const Call& call);

/** Which instruction sets must agree to the last bit. */
enum class Across { NONE, FUSED, ALL };

struct Options {
  Across across = Across::NONE;
  /** The call may leave elements alone: those that the definition leaves. */
  bool partial = false;
};

/**
 * Runs a call on every instruction set with 1 and with 3 threads: both with the same bits, each within its bound of the
 * definition. A bound is the allowed difference of each element of an output, usually a multiple of EPS times the sum of the
 * absolute values of all that is added up in it; no bounds mean equal bits. NaN is equal to NaN alone. Nothing beside the
 * outputs may change, and every element of them must.
 */
void check(const std::string& label, const Call& call, const std::vector<Doubles>& bounds = {}, Options options = {});

/** Part of an output. */
struct Slice {
  int output;
  int64_t first, count;
};

/** That part of one call has the bits of part of another, on every instruction set. */
void checkSameBits(const std::string& label, const std::vector<Outputs>& a, Slice sliceA, const std::vector<Outputs>& b,
                   Slice sliceB);

/**
 * That `gradient` is that of loss at x, by central differences of fourth order. The steps are 2^-5 and 2^-4, exact for x from
 * grid(). Definitions round their outputs to float: the differences are good to about 1e-5, the tolerance is 1e-4 of the greatest
 * element (or of 1).
 */
void checkGradient(const std::string& label, const Floats& x, const std::function<double(const Floats&)>& loss,
                   const Doubles& gradient);

/** Σ weights · output of the definition: a loss whose gradient in the output is `weights`. */
double weigh(const Call& call, int output, const Floats& weights);

/** That something holds. */
void expect(bool holds, const std::string& what);

Doubles scaled(Doubles values, double factor);
Floats absolute(Floats values);
/** The rows from..from + count of a matrix with n columns. */
Floats rowsOf(const Floats& x, int64_t n, int64_t from, int64_t count);
double greatest(const Floats& values);
/** The floats of output 0 of the definition, times a factor: a bound, where the call is made with absolute values. */
Doubles boundBy(const Call& call, double factor, int output = 0);
/** How b lies: [K, N], transposed [N, K], or packed. */
enum Form { PLAIN, TRANSPOSED, PACKED };
/** b, [K, N], in one of the forms. */
Floats inForm(const Floats& b, int64_t K, int64_t N, Form form);

std::string text(const char* format, ...) __attribute__((format(printf, 1, 2)));

struct Registration {
  Registration(const char* kernel, void (*body)());
};

#define TEST(kernel)                                                   \
  static void kernel##Test();                                          \
  static const ::test::Registration kernel##Registration(#kernel, kernel##Test); \
  static void kernel##Test()

}  // namespace test
