#include <algorithm>
#include <cmath>

#include "graph/rules.h"

namespace interleave::graph {
namespace {

Number Fixed(std::size_t value) { return {.value = static_cast<double>(value)}; }

Value Vector(Numbers numbers) {
  Value value = Shaped({Fixed(numbers.size())}, kInt64);
  value.numbers = std::move(numbers);
  return value;
}

void Shape(Call& call) {
  call.TakeAsSize(0);
  const Numbers& dims = call.In(0).dims;
  const auto rank = static_cast<std::int64_t>(dims.size());
  const auto place = [rank](std::int64_t at) { return std::clamp<std::int64_t>(at < 0 ? at + rank : at, 0, rank); };
  const std::int64_t start = place(call.Int("start", 0));
  const std::int64_t end = std::max(start, place(call.Int("end", rank)));
  Numbers numbers(dims.begin() + start, dims.begin() + end);
  call.Out(Vector(std::move(numbers)));
}

void Size(Call& call) {
  call.TakeAsSize(0);
  Value value = Shaped({}, kInt64);
  value.numbers = Numbers{Product(call.In(0).dims)};
  call.Out(std::move(value));
}

Value ValueOfNumbers(std::vector<double> numbers, bool isScalar, int type) {
  Value value = Shaped(isScalar ? Numbers() : Numbers{Fixed(numbers.size())}, type);
  if (numbers.size() > kNumbersMax) return value;
  value.numbers.emplace();
  for (const double number : numbers) value.numbers->push_back({.value = number});
  return value;
}

void Constant(Call& call) {
  if (const Attribute* tensor = call.Find("value"); tensor != nullptr && tensor->tensor)
    return call.Out(ValueOf(*tensor->tensor));
  if (const Attribute* one = call.Find("value_int")) return call.Out(ValueOfNumbers({one->number}, true, kInt64));
  if (const Attribute* one = call.Find("value_float")) return call.Out(ValueOfNumbers({one->number}, true, kFloat));
  if (const Attribute* list = call.FindList("value_floats"))
    return call.Out(ValueOfNumbers(list->floats, false, kFloat));
  if (const Attribute* list = call.FindList("value_ints")) {
    return call.Out(ValueOfNumbers({list->integers.begin(), list->integers.end()}, false, kInt64));
  }
  if (call.Find("value_string") != nullptr) return call.Out(Shaped({}));
  if (const Attribute* list = call.Find("value_strings")) call.Out(Shaped({Fixed(list->stringsCount)}));
}

void ConstantOfShape(Call& call) {
  Numbers dims = call.Sizes(0);
  const Attribute* attribute = call.Find("value");
  Number fill;
  int type = kFloat;
  if (attribute != nullptr && attribute->tensor) {
    const Value of = ValueOf(*attribute->tensor);
    type = of.type;
    fill = of.numbers && of.numbers->size() == 1 ? of.numbers->front() : Number{.opaque = true};
  }
  Value value = Shaped(std::move(dims), type);
  if (!fill.opaque && HoldsNumbers(value.dims)) {
    value.numbers = Numbers(static_cast<std::size_t>(Product(value.dims).value), fill);
  }
  call.Out(std::move(value));
}

Number Limit(Call& call, std::size_t input) {
  const Number number = Held(call.Sizes(input).at(0), call.In(0).type);
  if (number.opaque || number.rough) call.Unproven("counts by a number that its type may not hold");
  return number;
}

void Range(Call& call) {
  const Number start = Limit(call, 0), limit = Limit(call, 1), delta = Limit(call, 2);
  Number count = Divide(Subtract(limit, start), delta, false);
  if (count.opaque || (count.rows && count.value != std::trunc(count.value)))
    call.Unproven("counts to a number that is not followed");
  count = Rounded(count, [](double x) { return std::max(0.0, std::ceil(x)); });
  Value value = Shaped({count}, call.In(0).type);
  value.counted = start.rows || limit.rows || delta.rows;
  const bool isPlain = start.IsFixed() && start.value == 0 && delta.IsFixed() && delta.value == 1;
  if (isPlain && limit.rows && IsOne(limit)) value.place = Place{};
  if (!value.counted && HoldsNumbers(value.dims)) {
    value.numbers.emplace();
    for (double i = 0; i < count.value; ++i) value.numbers->push_back(Add(start, Multiply(delta, {.value = i})));
    const bool isIndex = isPlain && SameForAll(limit, AxisSize(0, limit.axes.back()));
    for (Number& number : *value.numbers) {
      number.varies = number.varies || count.varies;
      if (isIndex) number.below = limit.axes.back();
    }
  }
  call.Out(std::move(value));
}

// The sizes that Reshape asks for, its -1 and 0 filled in.
Numbers Wanted(const Call& call, Numbers to, const Numbers& from, bool zeroIsZero) {
  std::size_t rest = to.size();
  for (std::size_t i = 0; i < to.size(); ++i) {
    // It could be 0 or -1 for other sizes, which would mean something else.
    if (!to[i].IsFixed() && (to[i].Least() < 0 || to[i].value <= 0))
      call.Unproven("gives a size that may not be positive");
    if (to[i].Is(-1)) {
      rest = i;
      to[i] = {.value = 1};
    } else if (to[i].Is(0) && !zeroIsZero) {
      if (i >= from.size()) call.Unproven("copies a size that its input does not have");
      to[i] = from[i];
    }
  }
  if (rest == to.size()) return to;
  const Number total = Product(from);
  const Number others = Product(to);
  if (others.Is(0)) call.Unproven("leaves a size open beside one of 0");
  Number size = Divide(total, others, true);
  if (size.opaque || !SameSize(Multiply(size, others), total))
    call.Unproven("gives a shape that does not fit for every number of rows");
  to[rest] = size;
  return to;
}

// The runtime takes the only size that it does not know beforehand as open (-1), the number of rows too. Then the sizes
// of a row must fit for all lengths, not for those alone that the other sizes ask for: several shorter rows would fill
// one entry.
void CheckFits(const Call& call, const Numbers& from, const Numbers& asked, const Numbers& to) {
  int unknown = 0;
  for (std::size_t i = 0; i < to.size(); ++i) {
    const bool isOpen = asked[i].IsFixed() && asked[i].value == -1;
    const bool isCopied = asked[i].IsFixed() && asked[i].value == 0;
    if (isOpen || (isCopied && to[i].rows)) return;
    const bool isKept = i < from.size() && !to[i].rows && SameForAll(to[i], from[i]);
    if (!asked[i].IsFixed() && !isKept) ++unknown;
  }
  if (unknown < 2 && !SameForAll(Product(from), Product(to)))
    call.Unproven("gives a shape that fits rows of one length only");
}

void Reshape(Call& call) {
  const Value& from = call.In(0);
  Numbers to;
  if (call.size() > 1) {
    to = call.Sizes(1);
  } else {
    const auto sizes = call.Ints("shape").value_or(std::vector<std::int64_t>());
    for (const std::int64_t size : sizes) to.push_back({.value = static_cast<double>(size)});
  }
  const Numbers wanted = Wanted(call, to, from.dims, call.Int("allowzero", 0) != 0);
  if (from.RowAxis() >= 0) CheckFits(call, from.dims, to, wanted);
  call.Out(Relaid(call, from, wanted));
}

void Flatten(Call& call) {
  const Value& from = call.In(0);
  const std::int64_t given = call.Int("axis", 1);
  const auto rank = static_cast<std::int64_t>(from.dims.size());
  const std::int64_t axis = given < 0 ? given + rank : given;
  if (axis < 0 || axis > rank) call.Unproven("names an axis that its input does not have");
  const auto split = static_cast<std::size_t>(axis);
  call.Out(Relaid(call, from, {Product(from.dims, 0, split), Product(from.dims, split, from.dims.size())}));
}

void Squeeze(Call& call) {
  const Value& from = call.In(0);
  const auto axes = call.Axes(1);
  std::vector<bool> leaves(from.dims.size());
  for (std::size_t i = 0; !axes && i < leaves.size(); ++i) {
    if (!from.dims[i].IsFixed()) call.Unproven("leaves out every axis of size 1, which may be the batch");
    leaves[i] = from.dims[i].Is(1);
  }
  for (const std::int64_t axis : axes.value_or(std::vector<std::int64_t>())) {
    const std::size_t i = call.Axis(axis, leaves.size());
    if (!from.dims[i].Is(1)) call.Unproven("leaves out an axis that is longer than 1");
    leaves[i] = true;
  }
  Value out = Shaped({}, from.type);
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    if (!leaves[i]) out.dims.push_back(from.dims[i]);
  }
  out.numbers = from.numbers;
  out.place = SamePlace(from, out);
  call.Out(std::move(out));
}

void Unsqueeze(Call& call) {
  const Value& from = call.In(0);
  const auto axes = call.Axes(1).value_or(std::vector<std::int64_t>());
  const std::size_t rank = from.dims.size() + axes.size();
  std::vector<bool> isNew(rank);
  for (const std::int64_t axis : axes) isNew[call.Axis(axis, rank)] = true;
  Value out = Shaped({}, from.type);
  std::size_t next = 0;
  for (std::size_t i = 0; i < rank; ++i) {
    if (!isNew[i] && next == from.dims.size()) call.Unproven("names an axis twice");
    out.dims.push_back(isNew[i] ? Number{.value = 1} : from.dims[next++]);
  }
  out.numbers = from.numbers;
  out.place = SamePlace(from, out);
  call.Out(std::move(out));
}

// Elements of a tensor of `dims` by their index in each axis.
std::vector<std::size_t> Strides(const Numbers& dims) {
  std::vector<std::size_t> strides(dims.size(), 1);
  for (std::size_t i = dims.size(); i > 1; --i)
    strides[i - 2] = strides[i - 1] * static_cast<std::size_t>(dims[i - 1].value);
  return strides;
}

void Transpose(Call& call) {
  const Value& from = call.In(0);
  const std::size_t rank = from.dims.size();
  std::vector<std::int64_t> perm = call.Ints("perm").value_or(std::vector<std::int64_t>());
  for (std::size_t i = rank; call.Find("perm") == nullptr && i > 0; --i)
    perm.push_back(static_cast<std::int64_t>(i - 1));
  if (perm.size() != rank) call.Unproven("does not fit its input");
  Value out = Shaped({}, from.type);
  for (const std::int64_t axis : perm) out.dims.push_back(from.dims[call.Axis(axis, rank)]);
  if (from.numbers) {
    const auto inStrides = Strides(from.dims);
    const auto outStrides = Strides(out.dims);
    out.numbers = Picked(from, from.numbers->size(), [&](std::size_t at) {
      std::size_t source = 0;
      for (std::size_t i = 0; i < rank; ++i) {
        source += at / outStrides[i] * inStrides[call.Axis(perm[i], rank)];
        at %= outStrides[i];
      }
      return source;
    });
  }
  call.Out(std::move(out));
}

void Expand(Call& call) {
  const Value& from = call.In(0);
  const Numbers& to = call.Sizes(1);
  Value out = Shaped(Broadcast(call, {&from.dims, &to}), from.type);
  out.place = SamePlace(from, out);
  if (from.numbers && HoldsNumbers(out.dims)) {
    const auto sources = BroadcastSources(out.dims, from.dims);
    out.numbers = Picked(from, sources.size(), [&](std::size_t i) { return sources[i]; });
  }
  call.Out(std::move(out));
}

void Tile(Call& call) {
  const Value& from = call.In(0);
  const Numbers& times = call.Sizes(1);
  if (times.size() != from.dims.size()) call.Unproven("does not fit its input");
  Value out = Shaped(from.dims, from.type);
  for (std::size_t i = 0; i < times.size(); ++i) {
    if (from.dims[i].rows && !(times[i].IsFixed() && times[i].Is(1)))
      call.Mixed("repeats the batch along its own axis");
    out.dims[i] = Multiply(from.dims[i], times[i]);
  }
  call.Out(std::move(out));
}

// Joined to other coordinates, each row's own number is where GatherND looks.
void FindPlaces(Call& call, Value& out) {
  const Value& first = call.In(0);
  if (!first.place || first.place->isFirst || !first.dims.back().Is(1) || first.place->low != 0 ||
      first.place->high != 0 || first.place->below != 0) {
    return;
  }
  for (std::size_t i = 1; i < call.size(); ++i) {
    if (call.In(i).IsCounted()) return;
  }
  call.TakeAsSize(0);
  out.counted = true;
  out.place = Place{.stride = first.place->stride, .isFirst = true};
}

void Concat(Call& call) {
  const std::size_t rank = call.In(0).dims.size();
  const std::size_t axis = call.Axis(call.Int("axis", 1), rank);
  Value out = Shaped(call.In(0).dims, call.In(0).type);
  Numbers numbers;
  bool known = rank == 1;
  out.dims[axis] = {};
  for (std::size_t i = 0; i < call.size(); ++i) {
    const Value& part = call.In(i);
    if (part.dims.size() != rank) call.Unproven("joins tensors of different ranks");
    call.NotAlong(i, axis, "joins along the batch axis");
    for (std::size_t d = 0; d < rank; ++d) {
      if (d == axis || SameSize(out.dims[d], part.dims[d])) continue;
      if (out.dims[d].rows || part.dims[d].rows) call.Unproven("joins the batch axis to another one");
      call.Unproven("joins tensors of different sizes");
    }
    out.dims[axis] = Add(out.dims[axis], part.dims[axis]);
    known = known && part.numbers;
    if (known) numbers.insert(numbers.end(), part.numbers->begin(), part.numbers->end());
  }
  if (known && numbers.size() <= kNumbersMax) out.numbers = std::move(numbers);
  if (axis + 1 == rank) FindPlaces(call, out);
  call.Out(std::move(out));
}

Numbers SplitSizes(Call& call, const Number& whole) {
  if (call.Has(1)) return call.Sizes(1);
  Numbers sizes;
  if (const auto given = call.Ints("split")) {
    for (const std::int64_t size : *given) sizes.push_back({.value = static_cast<double>(size)});
    return sizes;
  }
  const auto parts = static_cast<double>(std::max<std::size_t>(1, call.outputsCount()));
  const double size = std::ceil(whole.value / parts);
  for (double i = 0; i < parts; ++i)
    sizes.push_back({.value = std::min(size, whole.value - i * size), .varies = whole.varies});
  return sizes;
}

void Split(Call& call) {
  const Value& from = call.In(0);
  const std::size_t axis = call.Axis(call.Int("axis", 0), from.dims.size());
  call.NotAlong(0, axis, "splits the batch axis");
  const Numbers sizes = SplitSizes(call, from.dims[axis]);
  if (sizes.size() < call.outputsCount()) call.Unproven("does not fit its input");
  std::size_t start = 0;
  bool isKnown = from.numbers && from.dims.size() == 1 && from.dims[0].IsFixed();
  for (std::size_t i = 0; i < call.outputsCount(); ++i) {
    Value part = Shaped(from.dims, from.type);
    part.dims[axis] = sizes[i];
    const auto size = static_cast<std::size_t>(std::max(0.0, sizes[i].value));
    if (sizes[i].rows) call.Mixed("cuts by the number of rows");
    isKnown = isKnown && sizes[i].IsFixed() && start + size <= from.numbers->size();
    if (isKnown) {
      part.numbers = Picked(from, size, [start](std::size_t k) { return start + k; });
    }
    start += size;
    call.Out(i, std::move(part));
  }
}

void Pad(Call& call) {
  const Value& from = call.In(0);
  const std::size_t rank = from.dims.size();
  Numbers pads;
  if (call.Has(1)) {
    pads = call.Sizes(1);
  } else {
    const auto given = call.Ints("pads").value_or(std::vector<std::int64_t>());
    for (const std::int64_t pad : given) pads.push_back({.value = static_cast<double>(pad)});
  }
  std::vector<std::int64_t> axes;
  if (call.Has(3))
    axes = call.Fixed(3);
  else
    for (std::size_t i = 0; i < rank; ++i) axes.push_back(static_cast<std::int64_t>(i));
  if (pads.size() != 2 * axes.size()) call.Unproven("does not fit its input");
  call.Constant(2, 3);
  Value out = Shaped(from.dims, from.type);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    Number& dim = out.dims[call.Axis(axes[i], rank)];
    const Number &before = pads[i], &after = pads[axes.size() + i];
    if (dim.rows && !(before.IsFixed() && before.Is(0) && after.IsFixed() && after.Is(0)))
      call.Mixed("pads the batch axis");
    if (before.rows || after.rows) call.Mixed("pads by the number of rows");
    if (!dim.rows) dim = Add(Add(dim, before), after);
  }
  call.Out(std::move(out));
}

// Moves blocks of an image's width and height into its channels, or back.
void Blocks(Call& call) {
  const bool toDepth = call.node().op == "SpaceToDepth";
  const double block = static_cast<double>(call.Int("blocksize", 1));
  Numbers dims = call.In(0).dims;
  if (dims.size() != 4 || block < 1) call.Unproven("does not fit its input");
  call.RowsFirst(0, "moves values between rows");
  const Number area{.value = block * block}, side{.value = block};
  dims[1] = toDepth ? Multiply(dims[1], area) : Divide(dims[1], area, true);
  for (std::size_t i : {2, 3}) dims[i] = toDepth ? Divide(dims[i], side, true) : Multiply(dims[i], side);
  call.Out(Shaped(std::move(dims)));
}

void EyeLike(Call& call) {
  if (call.AnyRows()) call.Mixed("depends on a row's place in the batch");
  call.TakeAsSize(0);
  call.Out(Shaped(call.In(0).dims));
}

}  // namespace

void AddShapeRules(Rules& rules) {
  rules["Shape"] = Shape;
  rules["Size"] = Size;
  rules["Constant"] = Constant;
  rules["ConstantOfShape"] = ConstantOfShape;
  rules["Range"] = Range;
  rules["Reshape"] = Reshape;
  rules["Flatten"] = Flatten;
  rules["Squeeze"] = Squeeze;
  rules["Unsqueeze"] = Unsqueeze;
  rules["Transpose"] = Transpose;
  rules["Expand"] = Expand;
  rules["Tile"] = Tile;
  rules["Concat"] = Concat;
  rules["Split"] = Split;
  rules["Pad"] = Pad;
  rules["DepthToSpace"] = Blocks;
  rules["SpaceToDepth"] = Blocks;
  rules["EyeLike"] = EyeLike;
}

}  // namespace interleave::graph
