// What the proof knows about a tensor: where the rows lie in it, and the values of small ones that hold sizes.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

namespace interleave::graph {

// A number that may stand for a size: `value`, or `value` times the number of rows. Any number of rows is meant, so
// what holds here holds for all of them.
struct Number {
  double value = 0;
  bool rows = false;
  bool varies = false;  // depends on another dimension of the inputs, for which `value` takes an example
  bool opaque = false;  // is not followed: `value` says nothing
  bool rough = false;   // right as a size alone: the element type may not hold so large a product
  // Where it varies: its least value for any other sizes than the example's.
  double least = -std::numeric_limits<double>::infinity();
  // Where it varies: it is `factor` times the sizes of these axes, whatever they are. Factor 0: only the example is
  // known, and another number of the same value may differ from it for other inputs.
  double factor = 0;
  std::array<std::uint32_t, 4> axes{};  // sorted, 0: none
  std::uint32_t below = 0;              // at least 0 and less than the size of this axis

  // The same for every input.
  bool IsFixed() const { return !rows && !varies && !opaque; }
  bool Is(double number) const { return !rows && !opaque && value == number; }
  // The least that the number, or the factor of the number of rows, can be.
  double Least() const { return varies ? least : value; }
};

// Same size whatever the number of rows; whether it varies plays no part.
inline bool SameSize(const Number& a, const Number& b) {
  return a.value == b.value && a.rows == b.rows && !a.opaque && !b.opaque;
}

// The same for all inputs, not for the examples alone; rows play no part.
bool SameForAll(const Number& a, const Number& b);
// The size of an axis that varies, `axis` being a number for it.
inline Number AxisSize(double example, std::uint32_t axis) {
  return {.value = example, .varies = true, .least = 1, .factor = 1, .axes = {0, 0, 0, axis}};
}
inline void ForgetAxes(Number& number) {
  number.factor = 0;
  number.axes = {};
  number.below = 0;
}

// A tensor can have as many entries along an axis. Numbers that a graph computes need not be whole.
inline bool CanBeDim(const Number& number) {
  constexpr double kDimMax = 1e15;
  return !number.opaque && number.value >= 0 && number.value < kDimMax && number.value == std::trunc(number.value);
}

using Numbers = std::vector<Number>;

// Numbers from which each row can find its own entries in another tensor: those of row r are r * stride plus something
// from `low` to `high`. `isFirst`: so is only the first entry along the last axis.
struct Place {
  Number stride{.value = 1};
  double low = 0, high = 0;
  std::uint32_t below = 0;  // instead of `low` and `high`: from 0 to the size of this axis
  bool isFirst = false;
};

struct Interval {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();

  bool Is(double value) const { return low == value && high == value; }
};

// What is known of a value about places that rows are padded with. `kNothing`: it does not depend on what the inputs
// hold.
struct Padding {
  enum class Kind : std::uint8_t {
    kNothing,
    kMask,   // of masks, and comparisons of token ids
    kIds,    // token ids: numbers that mean nothing until they are looked up
    kCount,  // of a mask as a whole: what padding does not change
    kData,
  };
  Kind kind = Kind::kNothing;
  bool isOfIds = false;       // a mask that real tokens may hide by themselves
  bool isZeroFilled = false;  // data that are 0, or a number of the graph's, where they are hidden
  bool isFarFilled = false;   // data that no real ones pass where they are hidden
  std::string_view input{};   // of ids: which they are
  Interval hidden{};          // values of masks and ids at places that are padding
  Interval shown{};           // and at all others
};

// A dimension of `rows` holds the batch: entries [r * value, (r + 1) * value) of it belong to row r and depend on no
// other. A tensor without such a dimension is the same for all rows.
struct Value {
  bool hasShape = false;
  Numbers dims;
  // Depends on the number of rows, or on a row's place among the others.
  bool counted = false;
  // Depends on the length of an axis that varies, and by more than where it ends.
  bool lengthy = false;
  Padding padding;
  // Depends on rows in a way that was not followed.
  bool unfollowed = false;
  int type = 0;  // of the elements: kFloat and so on; 0: not known
  std::optional<Numbers> numbers;
  std::optional<Place> place;  // implies `counted`

  int RowAxis() const {
    for (std::size_t i = 0; i < dims.size(); ++i) {
      if (dims[i].rows) return static_cast<int>(i);
    }
    return -1;
  }
  bool HasRows() const { return unfollowed || RowAxis() >= 0; }
  bool IsCounted() const;
  bool IsLengthy() const;
  bool IsData() const { return padding.kind != Padding::Kind::kNothing; }
};

inline Value Shaped(Numbers dims, int type = 0) {
  Value value;
  value.hasShape = true;
  value.dims = std::move(dims);
  value.type = type;
  return value;
}

// Arithmetic on sizes without any limit of an element type; opaque where the result is no multiple of the number of
// rows for every size of the axes. `Held` says what an element type keeps of a result.
Number Add(const Number& a, const Number& b);
Number Subtract(const Number& a, const Number& b);
Number Multiply(const Number& a, const Number& b);
Number Divide(const Number& a, const Number& b, bool isInteger);
// The sign is that of `b`, or that of `a` (`truncates`).
Number Modulo(const Number& a, const Number& b, bool truncates);
Number Equal(const Number& a, const Number& b);
Number Less(const Number& a, const Number& b);
Number Choose(const Number& condition, const Number& yes, const Number& no);
// For functions of one number that never fall and leave whole numbers as they are.
Number Rounded(const Number& a, double (*function)(double));
// A number that says nothing, and depends on what these depend on.
Number Opaque(const Number& a, const Number& b);

// Product of dims[first, last).
Number Product(const Numbers& dims, std::size_t first, std::size_t last);
inline Number Product(const Numbers& dims) { return Product(dims, 0, dims.size()); }

// The same place of rows and the same sizes.
bool SameShape(const Value& a, const Value& b);

}  // namespace interleave::graph
