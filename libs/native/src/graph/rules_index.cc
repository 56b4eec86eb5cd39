#include <algorithm>
#include <cmath>

#include "graph/rules.h"

namespace interleave::graph {
namespace {

// No run has as many rows, and no axis as many entries.
constexpr double kRowsMax = 65536;
constexpr double kEndless = 1e9;

Number Fixed(std::size_t value) { return {.value = static_cast<double>(value)}; }

struct Cut {
  std::vector<std::int64_t> axes;
  Numbers starts, ends;
  std::vector<std::int64_t> steps;
};

Numbers NumbersOf(const std::vector<std::int64_t>& integers) {
  Numbers numbers;
  for (const std::int64_t integer : integers) numbers.push_back({.value = static_cast<double>(integer)});
  return numbers;
}

Cut CutOf(Call& call) {
  Cut cut;
  if (call.opset() < 10) {
    cut.starts = NumbersOf(call.Ints("starts").value_or(std::vector<std::int64_t>()));
    cut.ends = NumbersOf(call.Ints("ends").value_or(std::vector<std::int64_t>()));
    cut.axes = call.Ints("axes").value_or(std::vector<std::int64_t>());
  } else {
    cut.starts = call.Sizes(1);
    cut.ends = call.Sizes(2);
    if (call.Has(3)) cut.axes = call.Fixed(3);
    if (call.Has(4)) cut.steps = call.Fixed(4);
  }
  for (std::size_t i = cut.axes.size(); i < cut.starts.size(); ++i) cut.axes.push_back(static_cast<std::int64_t>(i));
  cut.steps.resize(cut.axes.size(), 1);
  if (cut.ends.size() != cut.axes.size() || cut.starts.size() != cut.axes.size())
    call.Unproven("does not fit its input");
  return cut;
}

bool TakesAll(const Number& dim, const Number& start, const Number& end, std::int64_t step) {
  const bool isEndless = (end.IsFixed() && end.value >= (dim.varies ? kEndless : dim.value * kRowsMax)) ||
                         (end.rows && !end.rough && SameForAll(end, dim));
  return start.IsFixed() && start.value == 0 && isEndless && step == 1;
}

bool KeepsAll(const Number& dim, const Number& start, const Number& end, std::int64_t step) {
  const bool isEndless = (end.IsFixed() && end.value >= kEndless) || (end.varies && !end.rough && SameForAll(end, dim));
  return start.IsFixed() && start.value == 0 && isEndless && step == 1;
}

// First index and number of entries of a slice, as numpy defines it.
struct Span {
  double first = 0;
  Number count{};
};

// A part at the start, or from the end to the end, of an axis that is never shorter.
bool IsWithin(double least, const Number& start, const Number& end, std::int64_t step) {
  if (!start.IsFixed() || !end.IsFixed() || step < 1) return false;
  return start.value >= 0 ? end.value >= 0 && end.value <= least
                          : -start.value <= least && (end.value >= kEndless || end.value < 0);
}

Span SpanOf(const Call& call, const Number& dim, const Number& start, const Number& end, std::int64_t step) {
  if (step == 0) call.Unproven("has a step of 0");
  const double size = dim.value;
  const double lowest = step < 0 ? -1 : 0;
  const double highest = step < 0 ? size - 1 : size;
  const auto place = [&](double at) { return std::clamp(at < 0 ? at + size : at, lowest, std::max(lowest, highest)); };
  const double first = place(start.value);
  const double last = place(end.value);
  const double count = std::max(0.0, std::ceil((last - first) / static_cast<double>(step)));
  if (dim.varies && IsWithin(dim.least, start, end, step)) return {first, {.value = count}};
  return {first, {.value = count, .varies = dim.varies || start.varies || end.varies}};
}

void Slice(Call& call) {
  const Value& from = call.In(0);
  const Cut cut = CutOf(call);
  Value out = Shaped(from.dims, from.type);
  for (std::size_t i = 0; i < cut.axes.size(); ++i) {
    Number& dim = out.dims[call.Axis(cut.axes[i], from.dims.size())];
    if (dim.rows) {
      if (TakesAll(dim, cut.starts[i], cut.ends[i], cut.steps[i])) continue;
      call.Mixed("takes a part of the batch axis");
    }
    if (cut.starts[i].rows || cut.ends[i].rows) call.Mixed("cuts by the number of rows");
    if (KeepsAll(dim, cut.starts[i], cut.ends[i], cut.steps[i])) continue;
    const Span span = SpanOf(call, dim, cut.starts[i], cut.ends[i], cut.steps[i]);
    if (from.numbers && from.dims.size() == 1 && !from.dims[0].varies && !span.count.varies && cut.axes.size() == 1) {
      out.numbers = Picked(from, static_cast<std::size_t>(span.count.value), [&](std::size_t k) {
        return static_cast<std::size_t>(span.first + static_cast<double>(k) * static_cast<double>(cut.steps[i]));
      });
    }
    // The padding of PyTorch's exports: rows of a table of numbers in another order.
    if (from.numbers && from.dims.size() == 2 && !from.dims[0].varies && !from.dims[1].varies &&
        cut.axes == std::vector<std::int64_t>{0} && !span.count.varies) {
      const auto width = static_cast<std::size_t>(from.dims[1].value);
      out.numbers = Picked(from, static_cast<std::size_t>(span.count.value) * width, [&](std::size_t k) {
        const double row = span.first + static_cast<double>(k / width) * static_cast<double>(cut.steps[i]);
        return static_cast<std::size_t>(row) * width + k % width;
      });
    }
    dim = span.count;
  }
  call.Out(std::move(out));
}

// The indices of row r lie in its own part of the axis.
bool FindsOwn(const Number& axis, const Value& indices) {
  const auto& place = indices.place;
  if (!place || place->isFirst || !SameForAll(place->stride, axis)) return false;
  if (place->below != 0) return SameForAll(AxisSize(0, place->below), axis);
  if (axis.varies) return place->low == 0 && place->high == 0;
  return place->low >= 0 && place->high < axis.value;
}

void Gather(Call& call) {
  const Value &data = call.In(0), &indices = call.In(1);
  const std::size_t axis = call.Axis(call.Int("axis", 0), data.dims.size());
  if (call.Rows(0) == static_cast<int>(axis) && !FindsOwn(data.dims[axis], indices))
    call.Mixed("picks entries of the batch axis");
  if (call.Rows(0) == static_cast<int>(axis)) call.TakeAsSize(1);
  Value out = Shaped({data.dims.begin(), data.dims.begin() + static_cast<std::ptrdiff_t>(axis)}, data.type);
  out.dims.insert(out.dims.end(), indices.dims.begin(), indices.dims.end());
  out.dims.insert(out.dims.end(), data.dims.begin() + static_cast<std::ptrdiff_t>(axis) + 1, data.dims.end());
  if (data.numbers && data.dims.size() == 1 && !data.dims[0].varies && indices.numbers) {
    const std::vector<std::int64_t> places = call.Fixed(1);
    out.numbers =
        Picked(data, places.size(), [&](std::size_t i) { return call.Axis(places[i], data.numbers->size()); });
  }
  call.Out(std::move(out));
}

// Rows of all inputs from the first on lie along the same axis, which is not `axis`.
void RowsTogether(const Call& call, std::size_t axis, std::string_view mixedWhat) {
  const int rows = call.Rows(0);
  for (std::size_t i = 0; i < call.size(); ++i) {
    call.NotAlong(i, axis, mixedWhat);
    if (call.Rows(i) != rows) call.Unproven("takes entries by places that belong to other rows");
    if (rows >= 0 &&
        !SameForAll(call.In(i).dims[static_cast<std::size_t>(rows)], call.In(0).dims[static_cast<std::size_t>(rows)])) {
      call.Unproven("takes entries by places that belong to other rows");
    }
  }
}

void GatherElements(Call& call) {
  const std::size_t axis = call.Axis(call.Int("axis", 0), call.In(0).dims.size());
  RowsTogether(call, axis, "picks entries of the batch axis");
  call.Out(Shaped(call.In(1).dims, call.In(0).type));
}

void ScatterElements(Call& call) {
  const std::size_t axis = call.Axis(call.Int("axis", 0), call.In(0).dims.size());
  RowsTogether(call, axis, "writes entries along the batch axis");
  call.Out(Shaped(call.In(0).dims, call.In(0).type));
}

void GatherND(Call& call) {
  const Value &data = call.In(0), &indices = call.In(1);
  const auto shared = static_cast<std::size_t>(std::max<std::int64_t>(0, call.Int("batch_dims", 0)));
  if (indices.dims.size() <= shared || !indices.dims.back().IsFixed()) call.Unproven("does not fit its input");
  const auto depth = static_cast<std::size_t>(indices.dims.back().value);
  const int rows = call.Rows(0);
  if (depth > data.dims.size() || shared > data.dims.size() - depth) call.Unproven("does not fit its input");
  const bool isShared = rows >= 0 && static_cast<std::size_t>(rows) < shared;
  const auto& place = indices.place;
  const bool namesRows = place && place->isFirst && place->stride.IsFixed() && place->stride.Is(1);
  const bool findsOwn = rows == 0 && shared == 0 && IsOne(data.dims[0]) && namesRows;
  if (findsOwn)
    call.TakeAsSize(1);
  else if (rows >= 0 && !isShared && static_cast<std::size_t>(rows) < shared + depth)
    call.Mixed("picks entries of the batch axis");
  if (isShared && call.Rows(1) != rows) call.Unproven("takes entries by places that belong to other rows");
  if (call.Rows(1) == static_cast<int>(indices.dims.size()) - 1) call.Mixed("takes places from several rows");
  Value out = Shaped({indices.dims.begin(), indices.dims.end() - 1}, data.type);
  out.dims.insert(out.dims.end(), data.dims.begin() + static_cast<std::ptrdiff_t>(shared + depth), data.dims.end());
  call.Out(std::move(out));
}

void TopK(Call& call) {
  Numbers dims = call.In(0).dims;
  const std::size_t axis = call.Axis(call.Int("axis", -1), dims.size());
  call.NotAlong(0, axis, "picks the largest along the batch axis");
  Number k{.value = static_cast<double>(call.Int("k", 0))};
  if (call.Has(1)) k = call.Sizes(1).at(0);
  if (k.rows) call.Mixed("picks as many entries as there are rows");
  dims[axis] = k;
  call.Out(0, Shaped(dims));
  call.Out(1, Shaped(std::move(dims), kInt64));
}

void OneHot(Call& call) {
  const Value& indices = call.In(0);
  call.Constant(2, 3);
  const Number depth = call.Sizes(1).at(0);
  if (depth.rows) call.Mixed("marks a row by its place in the batch");
  Value out = Shaped(indices.dims);
  const std::size_t axis = call.Axis(call.Int("axis", -1), indices.dims.size() + 1);
  out.dims.insert(out.dims.begin() + static_cast<std::ptrdiff_t>(axis), depth);
  call.Out(std::move(out));
}

// The size of what these give is that of all rows together.
void Listing(Call& call) {
  if (call.AnyRows()) call.Mixed("gives one list over all rows");
}

void NonZero(Call& call) {
  Listing(call);
  const Value& from = call.In(0);
  if (!from.numbers || from.dims.size() != 1) return;
  Numbers places;
  for (std::size_t i = 0; i < from.numbers->size(); ++i) {
    const Number& number = (*from.numbers)[i];
    if (!number.IsFixed()) return;
    if (number.value != 0) places.push_back({.value = static_cast<double>(i), .varies = from.dims[0].varies});
  }
  Value out = Shaped({Fixed(1), {.value = static_cast<double>(places.size()), .varies = from.dims[0].varies}}, kInt64);
  out.numbers = std::move(places);
  call.Out(std::move(out));
}

void ReverseSequence(Call& call) {
  const auto time = static_cast<std::size_t>(call.Int("time_axis", 0));
  const std::int64_t batch = call.Int("batch_axis", 1);
  call.NotAlong(0, time, "goes along the batch axis as time");
  if (call.Rows(1) >= 0 && call.Rows(0) != batch) call.Unproven("takes lengths that belong to other rows");
  if (call.Rows(0) == batch && call.Rows(1) < 0) call.Unproven("takes lengths that do not follow the rows");
  call.Out(Shaped(call.In(0).dims, call.In(0).type));
}

void CumSum(Call& call) {
  const Value& from = call.In(0);
  const std::vector<std::int64_t> axes = call.Fixed(1);
  if (axes.size() != 1) call.Unproven("does not fit its input");
  call.NotAlong(0, call.Axis(axes[0], from.dims.size()), "sums up along the batch axis");
  call.Out(Shaped(from.dims, from.type));
}

}  // namespace

void AddIndexRules(Rules& rules) {
  rules["Slice"] = Slice;
  rules["Gather"] = Gather;
  rules["GatherElements"] = GatherElements;
  rules["GatherND"] = GatherND;
  rules["ScatterElements"] = ScatterElements;
  rules["Scatter"] = ScatterElements;
  rules["TopK"] = TopK;
  rules["OneHot"] = OneHot;
  rules["NonZero"] = NonZero;
  for (const char* op : {"Compress", "Unique", "NonMaxSuppression"}) rules[op] = Listing;
  rules["ReverseSequence"] = ReverseSequence;
  rules["CumSum"] = CumSum;
}

}  // namespace interleave::graph
