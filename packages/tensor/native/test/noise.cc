#include "check.h"

using namespace test;

namespace {

void forDraws(const std::function<void(const std::string&, const Ints&, int64_t, const Doubles&)>& f) {
  Random random;
  const auto word = [&] { return double(int32_t(random.bits())); };
  const auto one = [&](int64_t B, int64_t n) {
    Ints samples = random.ids(B, int64_t{1} << 31);
    if (B > 1) samples[1] = -7;
    f(text("B=%d n=%d", int(B), int(n)), samples, n, {double(B), double(n), word(), word(), word(), word()});
  };
  for (const int64_t n : awkward)
    for (const int64_t B : {0, 1, 3}) one(B, n);
  for (const int64_t n : {63, 64, 65, 1023, 1024, 1025}) one(2, n);
  one(2, 0);
  one(3, 100003);
}

/** What does not depend on the rows beside it, nor on how much of a row is drawn. */
void checkParts(const char* kernel) {
  const Doubles address = {5, -6, 7, -8};
  const auto call = [&](const Ints& samples, int64_t n) {
    Doubles numbers = {double(samples.size()), double(n)};
    numbers.insert(numbers.end(), address.begin(), address.end());
    return runAll({kernel, {samples, Out{int64_t(samples.size()) * n}}, numbers});
  };
  checkSameBits("the start of row 1 alone", call({3, 9, 4}, 1100), {0, 1100, 77}, call({9}, 77), {0, 0, 77});
}

}  // namespace

TEST(uniformNoise) {
  forDraws([](const std::string& label, const Ints& samples, int64_t n, const Doubles& numbers) {
    check(label, {"uniformNoise", {samples, Out{int64_t(samples.size()) * n}}, numbers}, {}, {Across::ALL});
  });
  checkParts("uniformNoise");
}

TEST(normalNoise) {
  forDraws([](const std::string& label, const Ints& samples, int64_t n, const Doubles& numbers) {
    const Call call{"normalNoise", {samples, Out{int64_t(samples.size()) * n}}, numbers};
    Doubles bound = define(call)[0].values();
    for (double& y : bound) y = 2 * EPS * std::abs(y) + 1e-14;  // one unit in the last place: both are rounded
    check(label, call, {bound}, {Across::ALL});
  });
  checkParts("normalNoise");
}

TEST(multiplyAdds) {
  for (const int64_t tasks : {0, 1, 7, 64})
    check(text("tasks=%d", int(tasks)), {"multiplyAdds", {Out{tasks, Kind::DOUBLE}}, {double(tasks), 100}}, {}, {Across::ALL});
}
