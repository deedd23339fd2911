#include "check.h"

using namespace test;

namespace {

const Floats specials = {0.0f, -0.0f, 1, -1, 1e4f, -1e4f, 3e38f, -3e38f, 1e-38f, 1e-45f, -1e-42f, INF, -INF, NOT_A_NUMBER};

enum Mode { FULL, ROW, COLUMN, SCALAR };

int64_t sizeOf(int mode, int64_t outer, int64_t inner) { return mode == FULL ? outer * inner : mode == ROW ? inner : mode == COLUMN ? outer : 1; }

/** One rounding of an exact result is what double precision, rounded, gives: equal bits. */
void checkBinary(const char* kernel, Kind kind = Kind::FLOAT) {
  Random random;
  const auto one = [&](const std::string& label, const Floats& a, const Floats& b, int64_t outer, int64_t inner, int aMode, int bMode) {
    check(label + text(" %dx%d modes %d, %d", int(outer), int(inner), aMode, bMode),
          {kernel, {a, b, Out{outer * inner, kind}}, {double(outer), double(inner), double(aMode), double(bMode)}}, {}, {Across::ALL});
  };
  const auto random2 = [&](int64_t outer, int64_t inner, int aMode, int bMode) {
    one("normal", random.normals(sizeOf(aMode, outer, inner)), random.normals(sizeOf(bMode, outer, inner)), outer, inner, aMode, bMode);
  };
  for (int aMode = FULL; aMode <= SCALAR; aMode++)
    for (int bMode = FULL; bMode <= SCALAR; bMode++) {
      for (const int64_t inner : awkward)
        for (const int64_t outer : {1, 2, 17}) random2(outer, inner, aMode, bMode);
      random2(5, 4097, aMode, bMode);  // more than a piece
      random2(3, 0, aMode, bMode);
    }
  random2(1, 1000003, FULL, FULL);
  random2(1003, 700, FULL, COLUMN);
  random2(1003, 700, ROW, FULL);
  const int64_t n = int64_t(specials.size());
  Floats a, b;
  for (const float x : specials)
    for (const float y : specials) a.push_back(x), b.push_back(y);
  one("specials", a, b, n, n, FULL, FULL);
  one("specials", specials, specials, n, n, COLUMN, ROW);
}

/** `factor` units of rounding of the result, and an absolute error where it is below the normal range; no factor: equal bits. */
void checkUnary(const char* kernel, double factor = 0, bool positive = false) {
  Random random;
  const auto one = [&](const std::string& label, const Floats& x) {
    const Call call{kernel, {x, Out{int64_t(x.size())}}, {double(x.size())}};
    std::vector<Doubles> bounds;
    if (factor > 0) {
      bounds = {define(call)[0].values()};
      for (double& y : bounds[0]) y = factor * EPS * std::abs(y) + (std::abs(y) < 2 * TINY ? TINY : 0);
    }
    check(label + text(" n=%d", int(x.size())), call, bounds, {factor > 0 ? Across::NONE : Across::ALL});
  };
  const auto numbers = [&](int64_t n) { return positive ? absolute(random.normals(n)) : random.normals(n, 3); };
  for (const int64_t n : awkward) one("normal", numbers(n));
  one("nothing", {});
  one("shared among threads", numbers(1000003));
  one("specials", specials);
  Floats range;
  for (int i = -1100; i <= 1100; i++) range.push_back(float(i) / 10);
  if (!positive) one("from -110 to 110", range);
}

}  // namespace

TEST(add) { checkBinary("add"); }
TEST(subtract) { checkBinary("subtract"); }
TEST(multiplyElements) { checkBinary("multiplyElements"); }
TEST(divide) { checkBinary("divide"); }
TEST(minimum) { checkBinary("minimum"); }
TEST(lessEqual) { checkBinary("lessEqual", Kind::BYTE); }

TEST(negate) { checkUnary("negate"); }
TEST(square) { checkUnary("square"); }
TEST(squareRoot) { checkUnary("squareRoot", 0, true); }
TEST(reciprocalSquareRoot) { checkUnary("reciprocalSquareRoot", 4, true); }
TEST(exponential) { checkUnary("exponential", 3); }
TEST(sigmoid) { checkUnary("sigmoid", 5); }

TEST(floatToInteger) {
  Random random;
  const auto one = [&](const std::string& label, const Floats& x) {
    // -1 looks like an element that was not written.
    check(label + text(" n=%d", int(x.size())), {"floatToInteger", {x, Out{int64_t(x.size()), Kind::INT}}, {double(x.size())}}, {}, {Across::ALL, true});
  };
  for (const int64_t n : awkward) one("normal", random.normals(n, 1000));
  one("nothing", {});
  one("shared among threads", random.normals(200003, 1e9));
  one("specials", specials);
  one("edges", {0.99f, -0.99f, 1.5f, -1.5f, 2147483520.0f, 2147483648.0f, -2147483648.0f, -2147483904.0f, 4294967296.0f, 6442450944.0f, -4294967296.0f, 1e10f, -1e10f, 1e20f});
}
