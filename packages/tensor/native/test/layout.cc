// Copies: equal bits, of NaNs too.
#include "check.h"

using namespace test;

TEST(copyBlocks) {
  Random random;
  const auto one = [&](int64_t blocks, int64_t size, int64_t xGap, int64_t yGap, int64_t xOffset, int64_t yOffset) {
    const int64_t xStride = size + xGap, yStride = size + yGap;
    Floats x = random.normals(xOffset + blocks * xStride);
    if (x.size() > 2) x[1] = NOT_A_NUMBER, x[2] = -0.0f;
    check(text("blocks=%d size=%d gaps %d, %d offsets %d, %d", int(blocks), int(size), int(xGap), int(yGap), int(xOffset), int(yOffset)),
          {"copyBlocks", {x, Out{yOffset + blocks * yStride}}, {double(blocks), double(size), double(xStride), double(yStride), double(xOffset), double(yOffset)}},
          {}, {Across::ALL, true});
  };
  for (const int64_t size : awkward)
    for (const int64_t blocks : {1, 2, 17}) {
      one(blocks, size, 0, 0, 0, 0);
      one(blocks, size, 3, 0, 2, 0);
      one(blocks, size, 0, 5, 0, 7);
    }
  for (const int64_t size : {255, 256, 272, 1000}) one(3, size, 1, 1, 1, 1);
  one(0, 5, 0, 0, 0, 0);
  one(5, 0, 3, 2, 0, 0);
  one(3, 200003, 5, 2, 1, 3);  // more than a piece each
  one(3000, 300, 1, 1, 0, 0);
}

TEST(transpose) {
  Random random;
  const auto one = [&](const std::vector<int64_t>& shape, const std::vector<int>& order) {
    std::string label;
    Doubles numbers = {double(shape.size())};
    int64_t n = 1;
    for (const int64_t size : shape) numbers.push_back(double(size)), n *= size, label += text("%d ", int(size));
    label += "by";
    for (const int axis : order) numbers.push_back(axis), label += text(" %d", axis);
    Floats x = random.normals(n);
    if (n > 1) x[0] = NOT_A_NUMBER, x[1] = -0.0f;
    check(label, {"transpose", {x, Out{n}}, numbers}, {}, {Across::ALL});
  };
  const auto allOrders = [&](const std::vector<int64_t>& shape) {
    std::vector<int> order;
    for (size_t i = 0; i < shape.size(); i++) order.push_back(int(i));
    do one(shape, order);
    while (std::next_permutation(order.begin(), order.end()));
  };
  one({}, {});
  allOrders({7});
  for (const int64_t rows : awkward)
    for (const int64_t columns : awkward) one({rows, columns}, {1, 0});
  for (const std::vector<int64_t>& shape : {std::vector<int64_t>{2, 3, 5}, {17, 1, 33}, {16, 3, 65}, {1, 1, 9}}) allOrders(shape);
  for (const std::vector<int64_t>& shape : {std::vector<int64_t>{2, 3, 4, 5}, {3, 17, 2, 16}, {2, 1, 5, 1}}) allOrders(shape);
  allOrders({2, 3, 2, 3, 2});
  allOrders({2, 3, 1, 2, 3, 2});
  one({1003, 701}, {1, 0});
  one({5, 301, 4, 64}, {0, 2, 1, 3});
  one({3, 100, 20, 70}, {2, 0, 3, 1});
}

TEST(fill) {
  const auto one = [](int64_t n, double bits) { check(text("n=%d bits=%g", int(n), bits), {"fill", {Out{n}}, {double(n), bits}}, {}, {Across::ALL}); };
  for (const int64_t n : awkward)
    for (const double bits : {0.0, 1.0, 1065353216.0, -2147483648.0, 2143289344.0}) one(n, bits);
  one(0, 3);
  one(1000003, -5);
}

TEST(padBlocks) {
  Random random;
  const auto one = [&](int64_t blocks, int64_t size, int64_t before, int64_t after) {
    Floats x = random.normals(blocks * size);
    if (!x.empty()) x[0] = NOT_A_NUMBER;
    check(text("blocks=%d size=%d before=%d after=%d", int(blocks), int(size), int(before), int(after)),
          {"padBlocks", {x, Out{blocks * (before + size + after)}}, {double(blocks), double(size), double(before), double(after), 1065353216}}, {},
          {Across::ALL});
  };
  for (const int64_t size : awkward)
    for (const int64_t before : {0, 1, 16, 33})
      for (const int64_t after : {0, 2, 17}) one(3, size, before, after);
  one(0, 3, 1, 1);
  one(5, 0, 2, 3);
  one(2001, 300, 5, 7);
}
