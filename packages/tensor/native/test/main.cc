// Runs the test of every kernel: `kernel-tests [names]`. A line for each, exit code 1 where one fails.
#include <atomic>
#include <chrono>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>

#include "check.h"

extern const Kernel definitions[];
extern std::atomic<int64_t> sharedRuns;
void setThreadCount(int count);

namespace test {

namespace {

/** How the test at hand goes. */
struct Progress {
  int64_t checks = 0;
  int failures = 0;
  /** The greatest difference from the definition, as a part of its bound, by instruction set. */
  std::map<std::string, double> worst;
} progress;

constexpr int MOST_MESSAGES = 5;

void fail(const std::string& message) {
  if (progress.failures++ < MOST_MESSAGES) std::printf("  FAIL %s\n", message.c_str());
}

std::map<std::string, void (*)()>& registry() {
  static std::map<std::string, void (*)()> tests;
  return tests;
}

const Kernel& find(const Kernel* table, const std::string& name) {
  for (; table->name != nullptr; table++)
    if (name == table->name) return *table;
  std::printf("no kernel is called %s\n", name.c_str());
  std::exit(1);
}

#if defined(__SANITIZE_ADDRESS__)
constexpr size_t GUARD = 0;  // the sanitizer sees what lies beside
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr size_t GUARD = 0;
#else
constexpr size_t GUARD = 64;
#endif
#else
constexpr size_t GUARD = 64;
#endif

/** Memory of a call: floats as badly aligned as a typed array may be, with a guard at both ends. */
class Block {
 public:
  Block(const Argument& argument)
      : before(GUARD + (argument.kind == Kind::DOUBLE ? 8 : 4)), bytes(argument.bytes()), memory(new unsigned char[before + bytes + GUARD]) {
    std::memset(memory.get(), CANARY, before + bytes + GUARD);
    if (argument.output || argument.scratch)
      std::memset(data(), 0xFF, bytes);
    else if (bytes > 0)
      std::memcpy(data(), argument.contents(), bytes);
  }
  unsigned char* data() { return memory.get() + before; }
  bool intact() const {
    for (size_t i = 0; i < before; i++)
      if (memory[i] != CANARY) return false;
    for (size_t i = before + bytes; i < before + bytes + GUARD; i++)
      if (memory[i] != CANARY) return false;
    return true;
  }

 private:
  static constexpr unsigned char CANARY = 0xA5;
  size_t before, bytes;
  std::unique_ptr<unsigned char[]> memory;
};

Outputs execute(const char* who, const Kernel& kernel, const Call& call) {
  std::vector<Block> blocks;
  std::vector<void*> arrays;
  std::vector<bool> overwritten(call.arguments.size());
  for (const Argument& argument : call.arguments) {
    blocks.emplace_back(argument);
    arrays.push_back(argument.over < 0 ? blocks.back().data() : arrays[static_cast<size_t>(argument.over)]);
    if (argument.over >= 0) overwritten[static_cast<size_t>(argument.over)] = true;
  }
  kernel.run(arrays.data(), call.numbers.data());
  Outputs outputs;
  for (size_t i = 0; i < arrays.size(); i++) {
    const Argument& argument = call.arguments[i];
    if (!blocks[i].intact()) fail(text("%s %s wrote beside argument %zu", who, kernel.name, i));
    const auto* data = static_cast<const unsigned char*>(arrays[i]);
    if (argument.output)
      outputs.push_back({argument.kind, {data, data + argument.bytes()}});
    else if (!argument.scratch && !overwritten[i] && argument.bytes() > 0 && std::memcmp(data, argument.contents(), argument.bytes()) != 0)
      fail(text("%s %s changed its input, argument %zu", who, kernel.name, i));
  }
  return outputs;
}

/** Compares an output with that of the definition; the greatest difference as a part of the bound. */
void compare(const std::string& where, const char* set, const Output& got, const Output& want, const Doubles* bound, bool partial) {
  double& worst = progress.worst[set];
  for (int64_t i = 0; i < want.size(); i++) {
    if (got.bits(i) == want.bits(i) && (partial || want.written(i))) continue;
    const double a = got.at(i), b = want.at(i);
    const double allowed = bound ? (*bound)[static_cast<size_t>(i)] : 0;
    const double difference = std::abs(a - b);
    const auto element = [&](const char* what) {
      fail(text("%s element %lld: %s, got %.9g, want %.9g, difference %.3g, bound %.3g", where.c_str(), static_cast<long long>(i), what,
                a, b, difference, allowed));
    };
    if (got.written(i) != want.written(i)) {
      element(want.written(i) ? "not written" : "written");
    } else if (std::isnan(a) || std::isnan(b)) {
      if (std::isnan(a) != std::isnan(b)) element("NaN");
    } else if (bound == nullptr) {
      element("other bits");
    } else if (std::isinf(b) || !(difference <= allowed)) {
      element("too far off");
    } else if (allowed > 0) {
      worst = std::max(worst, difference / allowed);
    }
    if (progress.failures >= MOST_MESSAGES) return;
  }
}

void sameBits(const std::string& where, const Output& a, int64_t firstA, const Output& b, int64_t firstB, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    if (a.bits(firstA + i) == b.bits(firstB + i)) continue;
    return fail(text("%s element %lld: other bits, %.9g and %.9g", where.c_str(), static_cast<long long>(i), a.at(firstA + i),
                     b.at(firstB + i)));
  }
}

}  // namespace

uint64_t Random::bits() {
  uint64_t z = state += 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

double Random::normal() {
  const double radius = std::sqrt(-2 * std::log(1 - uniform()));
  return radius * std::cos(6.283185307179586 * uniform());
}

Floats Random::normals(int64_t n, double scale) {
  Floats values(static_cast<size_t>(n));
  for (float& x : values) x = static_cast<float>(scale * normal());
  return values;
}

Floats Random::grid(int64_t n) {
  Floats values(static_cast<size_t>(n));
  for (float& x : values) x = static_cast<float>(below(512) - 256) / 256;
  return values;
}

Floats Random::integers(int64_t n, int64_t most) {
  Floats values(static_cast<size_t>(n));
  for (float& x : values) x = static_cast<float>(below(2 * most + 1) - most);
  return values;
}

Ints Random::ids(int64_t n, int64_t end) {
  Ints values(static_cast<size_t>(n));
  for (int32_t& x : values) x = static_cast<int32_t>(below(end));
  return values;
}

template <class T>
static T elementAt(const std::vector<unsigned char>& memory, int64_t i) {
  T value;
  std::memcpy(&value, memory.data() + static_cast<size_t>(i) * sizeof(T), sizeof(T));
  return value;
}

double Output::at(int64_t i) const {
  if (kind == Kind::DOUBLE) return elementAt<double>(memory, i);
  if (kind == Kind::BYTE) return elementAt<uint8_t>(memory, i);
  return kind == Kind::INT ? elementAt<int32_t>(memory, i) : elementAt<float>(memory, i);
}

uint64_t Output::bits(int64_t i) const {
  if (kind == Kind::BYTE) return elementAt<uint8_t>(memory, i);
  return kind == Kind::DOUBLE ? elementAt<uint64_t>(memory, i) : elementAt<uint32_t>(memory, i);
}

Doubles Output::values() const {
  Doubles all(static_cast<size_t>(size()));
  for (int64_t i = 0; i < size(); i++) all[static_cast<size_t>(i)] = at(i);
  return all;
}

Floats Output::floats() const {
  const Doubles all = values();
  return Floats(all.begin(), all.end());
}

const std::vector<InstructionSet>& instructionSets() {
  static const std::vector<InstructionSet> sets = [] {
    std::vector<InstructionSet> found;
#if defined(__x86_64__)
    __builtin_cpu_init();
    found.push_back({"generic", generic::table, false});
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found.push_back({"avx2", avx2::table, true});
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl"))
      found.push_back({"avx512", avx512::table, true});
#elif defined(__aarch64__)
    found.push_back({"neon", neon::table, true});
#else
    found.push_back({"generic", generic::table, false});
#endif
    return found;
  }();
  return sets;
}

Outputs define(const Call& call) { return execute("definition", find(definitions, call.kernel), call); }

Outputs run(const InstructionSet& set, const Call& call, int threads) {
  setThreadCount(threads);
  Outputs outputs = execute(set.name, find(set.table, call.kernel), call);
  setThreadCount(1);
  return outputs;
}

std::vector<Outputs> runAll(const Call& call) {
  std::vector<Outputs> all;
  for (const InstructionSet& set : instructionSets()) all.push_back(run(set, call));
  return all;
}

void check(const std::string& label, const Call& call, const std::vector<Doubles>& bounds, Options options) {
  progress.checks++;
  const Outputs want = define(call);
  if (!bounds.empty() && bounds.size() != want.size()) return fail(label + ": a bound for each output");
  std::vector<Outputs> results;
  const InstructionSet* first = nullptr;
  for (const InstructionSet& set : instructionSets()) {
    const std::string where = label + " [" + set.name;
    const Outputs one = run(set, call, 1), three = run(set, call, 3);
    for (size_t i = 0; i < want.size(); i++) {
      const std::string output = text("] output %zu", i);
      if (!bounds.empty() && static_cast<int64_t>(bounds[i].size()) != want[i].size()) return fail(label + ": a bound for each element");
      compare(where + output, set.name, one[i], want[i], bounds.empty() ? nullptr : &bounds[i], options.partial);
      sameBits(where + ", 1 and 3 threads" + output, one[i], 0, three[i], 0, want[i].size());
    }
    if (options.across == Across::NONE || (options.across == Across::FUSED && !set.fusedMultiplyAdd)) continue;
    if (first == nullptr) {
      first = &set;
      results.push_back(one);
      continue;
    }
    for (size_t i = 0; i < want.size(); i++)
      sameBits(where + " and " + first->name + text("] output %zu", i), one[i], 0, results[0][i], 0, want[i].size());
  }
}

void checkSameBits(const std::string& label, const std::vector<Outputs>& a, Slice sliceA, const std::vector<Outputs>& b,
                   Slice sliceB) {
  progress.checks++;
  for (size_t i = 0; i < instructionSets().size(); i++)
    sameBits(label + " [" + instructionSets()[i].name + "]", a[i][static_cast<size_t>(sliceA.output)], sliceA.first,
             b[i][static_cast<size_t>(sliceB.output)], sliceB.first, sliceA.count);
}

void checkGradient(const std::string& label, const Floats& x, const std::function<double(const Floats&)>& loss,
                   const Doubles& gradient) {
  progress.checks++;
  if (gradient.size() != x.size()) return fail(label + ": a gradient for each element");
  constexpr float STEP = 0x1p-5f;
  double most = 1;
  for (const double g : gradient) most = std::max(most, std::abs(g));
  for (size_t i = 0; i < x.size(); i++) {
    const auto at = [&](float offset) {
      Floats moved = x;
      moved[i] += offset;
      return loss(moved);
    };
    const double near = at(STEP) - at(-STEP), far = at(2 * STEP) - at(-2 * STEP);
    const double numerical = (8 * near - far) / (12 * double{STEP});
    if (!(std::abs(numerical - gradient[i]) <= 1e-4 * most))
      fail(text("%s element %zu: gradient %.9g, by differences %.9g", label.c_str(), i, gradient[i], numerical));
  }
}

double weigh(const Call& call, int output, const Floats& weights) {
  const Doubles y = define(call)[static_cast<size_t>(output)].values();
  double total = 0;
  for (size_t i = 0; i < y.size(); i++) total += double{weights[i]} * y[i];
  return total;
}

void expect(bool holds, const std::string& what) {
  progress.checks++;
  if (!holds) fail(what);
}

Doubles scaled(Doubles values, double factor) {
  for (double& x : values) x *= factor;
  return values;
}

Floats absolute(Floats values) {
  for (float& x : values) x = std::abs(x);
  return values;
}

Floats rowsOf(const Floats& x, int64_t n, int64_t from, int64_t count) { return {x.begin() + from * n, x.begin() + (from + count) * n}; }

double greatest(const Floats& values) {
  double most = 0;
  for (const float x : values) most = std::max(most, std::abs(double{x}));
  return most;
}

Doubles boundBy(const Call& call, double factor, int output) {
  return scaled(define(call)[static_cast<size_t>(output)].values(), factor);
}

Floats inForm(const Floats& b, int64_t K, int64_t N, Form form) {
  if (form == PLAIN) return b;
  if (form == PACKED) return define({"packMatrix", {b, Out{(N + 31) / 32 * 32 * K}}, {double(K), double(N), PLAIN}})[0].floats();
  Floats transposed;
  for (int64_t n = 0; n < N; n++)
    for (int64_t k = 0; k < K; k++) transposed.push_back(b[static_cast<size_t>(k * N + n)]);
  return transposed;
}

std::string text(const char* format, ...) {
  char buffer[512];
  va_list values;
  va_start(values, format);
  std::vsnprintf(buffer, sizeof buffer, format, values);
  va_end(values);
  return buffer;
}

Registration::Registration(const char* kernel, void (*body)()) { registry()[kernel] = body; }

/** Runs the test of one kernel and prints its line; whether it passed. */
static bool runTest(const char* kernel) {
  progress = {};
  const auto found = registry().find(kernel);
  const int64_t shared = sharedRuns;
  const auto begin = std::chrono::steady_clock::now();
  if (found == registry().end()) {
    fail("no test: add TEST(" + std::string(kernel) + ") to native/test");
  } else {
    found->second();
    if (progress.checks == 0) fail("nothing was checked");
    if (sharedRuns == shared) fail("no call was large enough to be shared among threads");
  }
  if (progress.failures > MOST_MESSAGES) std::printf("  and more\n");
  std::string errors;
  for (const auto& [set, worst] : progress.worst) errors += text("  %s %.2f", set.c_str(), worst);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::printf("%-20s %-6s %5lld checks %6.2f s   error / bound:%s\n", kernel, progress.failures == 0 ? "ok" : "FAILED",
              static_cast<long long>(progress.checks), seconds, errors.c_str());
  std::fflush(stdout);
  return progress.failures == 0;
}

}  // namespace test

int main(int count, char** names) {
  int failed = 0, ran = 0;
  const auto chosen = [&](const char* kernel) {
    for (int i = 1; i < count; i++)
      if (std::strcmp(names[i], kernel) == 0) return true;
    return count == 1;
  };
#define RUN(name) \
  if (chosen(#name)) ran++, failed += test::runTest(#name) ? 0 : 1;
  KERNELS(RUN)
#undef RUN
  std::string sets;
  for (const test::InstructionSet& set : test::instructionSets()) sets += std::string(sets.empty() ? "" : ", ") + set.name;
  std::printf("%d of %d kernels pass on %s\n", ran - failed, ran, sets.c_str());
  return failed == 0 && ran > 0 ? 0 : 1;
}
