#include "check.h"

using namespace test;

namespace {

/** The bound of a sum: of the sums of absolute values, some roundings. */
constexpr double SUM = 8 * EPS;

using Sizes = std::function<Call(const Floats&, int64_t rows, int64_t n)>;

Call rowsCall(const char* kernel, const Floats& x, int64_t rows, int64_t n, Out out) { return {kernel, {x, out}, {double(rows), double(n)}}; }

void forRows(const std::function<void(const std::string&, const Floats&, int64_t, int64_t)>& f) {
  Random random;
  const auto one = [&](int64_t rows, int64_t n) { f(text("rows=%d n=%d", int(rows), int(n)), random.normals(rows * n), rows, n); };
  for (const int64_t n : awkward)
    for (const int64_t rows : {1, 2, 17}) one(rows, n);
  for (const int64_t n : {63, 64, 65, 79, 1000, 4095, 4096, 4097, 8193}) one(3, n);
  one(0, 5);
  one(1003, 701);
}

/** Rows with what is not a number, and with infinities; the last is whole. */
void forSpecialRows(const std::function<void(const std::string&, const Floats&, int64_t, int64_t)>& f) {
  Random random(9);
  for (const int64_t n : {2, 5, 16, 17, 40, 64, 100}) {
    Floats x = random.normals(8 * n);
    const auto at = [&](int64_t row, int64_t i) -> float& { return x[size_t(row * n + i)]; };
    at(0, n - 1) = NOT_A_NUMBER;
    at(1, 0) = NOT_A_NUMBER;
    at(2, n / 2) = INF;
    at(3, n / 2) = -INF;  // a mask
    for (int64_t i = 0; i < n; i++) at(4, i) = -INF;  // all masked
    for (int64_t i = 0; i < n; i++) at(5, i) *= 1e4f;
    for (int64_t i = 0; i < n; i++) at(6, i) = i % 2 == 0 ? 1e4f : -1e4f;
    f(text("specials n=%d", int(n)), x, 8, n);
  }
}

/** Each row alone has the bits that it has among others. */
void checkAlone(const char* kernel, int64_t n, int64_t outputWidth, Kind kind = Kind::FLOAT) {
  Random random(8);
  const Floats x = random.normals(33 * n);
  const auto whole = runAll(rowsCall(kernel, x, 33, n, Out{33 * outputWidth, kind}));
  for (const int64_t row : {0, 20, 32})
    checkSameBits(text("row %d of n=%d alone", int(row), int(n)), whole, {0, row * outputWidth, outputWidth},
                  runAll(rowsCall(kernel, rowsOf(x, n, row, 1), 1, n, Out{outputWidth, kind})), {0, 0, outputWidth});
}

/** The sums of the columns of one matrix: `sumMiddle` of a batch of one. */
Call columnsCall(const Floats& x, int64_t rows, int64_t n) {
  return {"sumMiddle", {x, Out{n}}, {1, double(rows), double(n)}};
}

void checkSums(const std::function<Call(const Floats&, int64_t, int64_t)>& call) {
  const auto one = [&](const std::string& label, const Floats& x, int64_t rows, int64_t n) {
    check(label, call(x, rows, n), {boundBy(call(absolute(x), rows, n), SUM)});
  };
  forRows(one);
  forSpecialRows(one);
}

}  // namespace

TEST(sumRows) {
  checkSums([](const Floats& x, int64_t rows, int64_t n) { return rowsCall("sumRows", x, rows, n, Out{rows}); });
  checkAlone("sumRows", 257, 1);
  checkAlone("sumRows", 5000, 1);
  // One long row: its blocks are shared out, and give the bits that they give among others.
  Random random(3);
  const int64_t n = 64 * 4096 + 7;
  const Floats row = random.normals(n);
  check("a long row", rowsCall("sumRows", row, 1, n, Out{1}), {boundBy(rowsCall("sumRows", absolute(row), 1, n, Out{1}), SUM)});
  const int64_t longer = 200 * 4096 + 1;
  const Floats far = random.normals(2 * longer);
  check("a longer row", rowsCall("sumRows", rowsOf(far, longer, 0, 1), 1, longer, Out{1}),
        {boundBy(rowsCall("sumRows", absolute(rowsOf(far, longer, 0, 1)), 1, longer, Out{1}), SUM)});
  checkSameBits("a long row of two", runAll(rowsCall("sumRows", far, 2, longer, Out{2})), {0, 0, 1},
                runAll(rowsCall("sumRows", rowsOf(far, longer, 0, 1), 1, longer, Out{1})), {0, 0, 1});
}

TEST(sumMiddle) {
  checkSums(columnsCall);
  // A column alone.
  Random columns(4);
  const Floats x = columns.normals(50 * 37);
  Floats column;
  for (int64_t r = 0; r < 50; r++) column.push_back(x[size_t(r * 37 + 33)]);
  checkSameBits("column 33 alone", runAll(columnsCall(x, 50, 37)), {0, 33, 1}, runAll(columnsCall(column, 50, 1)), {0, 0, 1});
  Random random;
  const auto one = [&](int64_t batch, int64_t rows, int64_t n) {
    Floats x = random.normals(batch * rows * n);
    const auto call = [&](const Floats& values) { return Call{"sumMiddle", {values, Out{batch * n}}, {double(batch), double(rows), double(n)}}; };
    const Doubles bound = boundBy(call(absolute(x)), SUM);
    if (x.size() > 50) x[49] = NOT_A_NUMBER;
    check(text("batch=%d rows=%d n=%d", int(batch), int(rows), int(n)), call(x), {bound});
  };
  for (const int64_t n : awkward)
    for (const int64_t rows : {1, 2, 7, 8, 9, 33}) one(3, rows, n);
  one(0, 3, 5);
  one(1, 5, 1025);
  one(7, 300, 700);
}

TEST(maxRows) {
  const auto one = [](const std::string& label, const Floats& x, int64_t rows, int64_t n) {
    check(label, rowsCall("maxRows", x, rows, n, Out{rows}), {}, {Across::ALL});
  };
  forRows(one);
  forSpecialRows(one);
}

TEST(argMaxRows) {
  const auto one = [](const std::string& label, const Floats& x, int64_t rows, int64_t n) {
    check(label, rowsCall("argMaxRows", x, rows, n, Out{rows, Kind::INT}), {}, {Across::ALL});
  };
  forRows(one);
  forSpecialRows(one);
  // Of ties the first.
  Random random(5);
  for (const int64_t n : awkward) one(text("ties n=%d", int(n)), random.integers(9 * n, 1), 9, n);
}

TEST(softmaxRows) {
  const auto one = [](const std::string& label, const Floats& x, int64_t rows, int64_t n) {
    const Call call = rowsCall("softmaxRows", x, rows, n, Out{rows * n});
    // The difference from the maximum is rounded: e^-80 to 80 units.
    Doubles bound = define(call)[0].values();
    for (double& y : bound) y = y * (16 - 2 * std::log(std::max(y, TINY))) * EPS + TINY;
    check(label, call, {bound});
  };
  forRows(one);
  forSpecialRows(one);
  checkAlone("softmaxRows", 257, 257);
}

TEST(cumsumRows) {
  const auto one = [](const std::string& label, const Floats& x, int64_t rows, int64_t n) {
    const Out out{rows * n};
    check(label, rowsCall("cumsumRows", x, rows, n, out), {boundBy(rowsCall("cumsumRows", absolute(x), rows, n, out), SUM)}, {Across::ALL});
  };
  forRows(one);
  forSpecialRows(one);
  checkAlone("cumsumRows", 257, 257);
}

TEST(sumIntegers) {
  Random random;
  const auto call = [](const Argument& x, int64_t rows, int64_t n, int bytes) {
    return Call{"sumIntegers", {x, Out{rows, Kind::INT}}, {double(rows), double(n), double(bytes)}};
  };
  for (const int64_t n : awkward)
    for (const int64_t rows : {0, 1, 17}) {
      Ints x = random.ids(rows * n, int64_t{1} << 31);  // sums wrap
      for (size_t i = 0; i < x.size(); i += 3) x[i] = -x[i];
      check(text("int32 rows=%d n=%d", int(rows), int(n)), call(x, rows, n, 4), {}, {Across::ALL});
      Bytes octets;
      for (int64_t i = 0; i < rows * n; i++) octets.push_back(uint8_t(random.below(256)));
      check(text("uint8 rows=%d n=%d", int(rows), int(n)), call(octets, rows, n, 1), {}, {Across::ALL});
    }
  check("shared among threads", call(random.ids(1003 * 701, 1 << 30), 1003, 701, 4), {}, {Across::ALL});
}
