// One operator at work on values of the proof: what a rule of an operator sees, and how it says what it found.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "graph/held.h"
#include "graph/onnx_file.h"
#include "graph/value.h"

namespace interleave::graph {

// Ends the proof: rows meet (`mixed`), or nothing can be said. The reason names the operator.
struct NoProof {
  bool mixed = false;
  std::string reason;
};

// The attributes of a function call, by name; null at the top.
using CallAttributes = std::unordered_map<std::string_view, const Attribute*>;

class Call {
 public:
  Call(const Node& node, int opset, std::vector<const Value*> inputs, const CallAttributes* callAttributes)
      : node_(node),
        opset_(opset),
        inputs_(std::move(inputs)),
        callAttributes_(callAttributes),
        outputs_(node.outputs.size()),
        isSize_(inputs_.size()) {}

  const Node& node() const { return node_; }
  int opset() const { return opset_; }
  std::size_t size() const { return inputs_.size(); }
  bool Has(std::size_t input) const { return input < inputs_.size() && inputs_[input] != nullptr; }
  // Throws NoProof where the input is missing or its shape is not known.
  const Value& In(std::size_t input) const;
  const Value* Raw(std::size_t input) const { return Has(input) ? inputs_[input] : nullptr; }
  // The axis of the rows in an input; -1: none, or no input.
  int Rows(std::size_t input) const { return Has(input) ? In(input).RowAxis() : -1; }
  bool AnyRows(std::size_t from = 0) const;

  // Numbers of an input that says sizes or places, so that a number of rows in it is no data. Throws NoProof where they
  // are not known.
  const Numbers& Sizes(std::size_t input);
  // The same for numbers that must not depend on the inputs' sizes: axes, indices.
  std::vector<std::int64_t> Fixed(std::size_t input);
  bool IsSize(std::size_t input) const { return isSize_[input]; }
  void TakeAsSize(std::size_t input) {
    if (!Has(input)) Unproven("lacks an input");
    isSize_[input] = true;
  }

  const Attribute* Find(std::string_view name) const;
  // The same for a list, which must have been read in full.
  const Attribute* FindList(std::string_view name) const;
  std::int64_t Int(std::string_view name, std::int64_t otherwise) const;
  std::optional<std::vector<std::int64_t>> Ints(std::string_view name) const;
  std::string_view Text(std::string_view name, std::string_view otherwise = "") const;
  // Axes by attribute, or by input number `input`; absent where neither is given.
  std::optional<std::vector<std::int64_t>> Axes(std::size_t input);

  void Out(std::size_t output, Value value);
  void Out(Value value) { Out(0, std::move(value)); }
  std::size_t outputsCount() const { return outputs_.size(); }
  std::vector<std::optional<Value>>& outputs() { return outputs_; }

  // 0 <= result < rank, counting negative axes from the end.
  std::size_t Axis(std::int64_t axis, std::size_t rank) const;

  // The operator and its name, with a space behind.
  std::string Who() const;
  [[noreturn]] void Mixed(std::string_view what) const;
  [[noreturn]] void Unproven(std::string_view what) const;
  // Rows along `axis` of an input end the proof.
  void NotAlong(std::size_t input, std::size_t axis, std::string_view mixedWhat) const {
    if (Rows(input) == static_cast<int>(axis)) Mixed(mixedWhat);
  }
  // Rows of an input must be its first axis, or absent.
  void RowsFirst(std::size_t input, std::string_view mixedWhat) const {
    if (Rows(input) > 0) Mixed(mixedWhat);
  }
  // Inputs from `from` on must be the same for all rows.
  void Constant(std::size_t from, std::size_t to) const;

 private:
  const Node& node_;
  int opset_;
  std::vector<const Value*> inputs_;
  const CallAttributes* callAttributes_;
  std::vector<std::optional<Value>> outputs_;
  std::vector<bool> isSize_;
};

Value ValueOf(const Tensor& tensor);
using Rule = void (*)(Call&);
using Rules = std::unordered_map<std::string_view, Rule>;

// Null: no rule for it.
Rule FindRule(std::string_view domain, std::string_view op);

// Shape of tensors that are combined element by element. Throws NoProof where rows meet anything but themselves.
Numbers Broadcast(const Call& call, const std::vector<const Numbers*>& shapes);
// Value `from` read in row order as a tensor of shape `to`; throws NoProof where that moves rows.
Value Relaid(const Call& call, const Value& from, Numbers to);
// What `from` says of places, for a tensor that holds the same numbers in another shape.
std::optional<Place> SamePlace(const Value& from, const Value& to);
// A dimension of one entry for each row.
inline bool IsOne(const Number& rows) { return rows.value == 1 && !rows.varies; }
// A tensor of this shape is small enough for its numbers to be kept.
bool HoldsNumbers(const Numbers& dims);
// The numbers of `from` rearranged to the shape `dims`: element i is number `source(i)` of it. Absent where it has
// none.
template <class Source>
std::optional<Numbers> Picked(const Value& from, std::size_t count, Source source) {
  if (!from.numbers || count > kNumbersMax) return std::nullopt;
  Numbers picked;
  for (std::size_t i = 0; i < count; ++i) picked.push_back(from.numbers->at(source(i)));
  return picked;
}

}  // namespace interleave::graph
