#include <algorithm>
#include <map>

#include "graph/rules.h"

namespace interleave::graph {
namespace {

constexpr std::string_view kSums = "sums over the batch axis";

void CheckContracted(const Call& call, const Number& left, const Number& right) {
  if (left.rows || right.rows) call.Mixed(kSums);
  if (!SameSize(left, right)) call.Unproven("multiplies matrices that do not fit");
}

void Gemm(Call& call) {
  Numbers a = call.In(0).dims, b = call.In(1).dims;
  if (a.size() != 2 || b.size() != 2) call.Unproven("multiplies matrices that do not fit");
  if (call.Int("transA", 0) != 0) std::swap(a[0], a[1]);
  if (call.Int("transB", 0) != 0) std::swap(b[0], b[1]);
  CheckContracted(call, a[1], b[0]);
  const Numbers product{a[0], b[1]};
  call.Out(Shaped(call.Has(2) ? Broadcast(call, {&product, &call.In(2).dims}) : product));
}

void MatMulInteger(Call& call) {
  call.Constant(2, 4);
  call.Out(Shaped(MatMulShape(call, call.In(0).dims, call.In(1).dims), kInt32));
}

void QLinearMatMul(Call& call) {
  for (const std::size_t i : {1, 2, 4, 5, 6, 7}) call.Constant(i, i + 1);
  call.Out(Shaped(MatMulShape(call, call.In(0).dims, call.In(3).dims), kUint8));
}

struct Term {
  std::string_view left;  // letters of the operands, separated by commas
  std::string_view right;
};

Term TermOf(const Call& call, std::string& equation) {
  std::erase(equation, ' ');
  const std::size_t arrow = equation.find("->");
  if (arrow == std::string::npos || equation.find('.') != std::string::npos)
    call.Unproven("has a form that is not followed");
  const std::string_view all = equation;
  return {all.substr(0, arrow), all.substr(arrow + 2)};
}

void Einsum(Call& call) {
  std::string equation(call.Text("equation"));
  Term term = TermOf(call, equation);
  std::map<char, Number> sizes;
  std::string_view rest = term.left;
  for (std::size_t i = 0; i < call.size(); ++i) {
    const std::string_view letters = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), letters.size() + 1));
    const Numbers& dims = call.In(i).dims;
    if (letters.size() != dims.size()) call.Unproven("does not fit its input");
    for (std::size_t d = 0; d < dims.size(); ++d) {
      const bool isDiagonal = letters.find(letters[d], d + 1) != std::string_view::npos;
      if (isDiagonal && dims[d].rows) call.Mixed("takes a diagonal of the batch axis");
      const auto [known, isNew] = sizes.emplace(letters[d], dims[d]);
      const bool isSame = SameSize(known->second, dims[d]);
      if (isNew || (isSame && SameForAll(known->second, dims[d]))) continue;
      if (isSame && !dims[d].rows) {
        // Where they differ, one of them is 1, and it need not be this one.
        known->second = {.value = dims[d].value, .varies = true};
        continue;
      }
      if (known->second.rows || dims[d].rows) call.Mixed("sets the batch axis against another axis");
      if (known->second.Is(1))
        known->second = dims[d];
      else if (!dims[d].Is(1))
        call.Unproven("does not fit its input");
    }
  }
  Value out = Shaped({});
  for (const auto& [letter, size] : sizes) {
    if (size.rows && term.right.find(letter) == std::string_view::npos) call.Mixed(kSums);
  }
  for (const char letter : term.right) {
    if (!sizes.contains(letter)) call.Unproven("does not fit its input");
    out.dims.push_back(sizes[letter]);
  }
  call.Out(std::move(out));
}

void Det(Call& call) {
  Numbers dims = call.In(0).dims;
  if (dims.size() < 2) call.Unproven("does not fit its input");
  if (call.Rows(0) >= static_cast<int>(dims.size()) - 2) call.Mixed("computes over the batch axis");
  dims.resize(dims.size() - 2);
  call.Out(Shaped(std::move(dims)));
}

}  // namespace

Numbers MatMulShape(const Call& call, const Numbers& a, const Numbers& b) {
  if (a.empty() || b.empty()) call.Unproven("multiplies matrices that do not fit");
  Numbers left = a, right = b;
  if (a.size() == 1) left.insert(left.begin(), Number{.value = 1});
  if (b.size() == 1) right.push_back({.value = 1});
  CheckContracted(call, left.back(), right[right.size() - 2]);
  const Number rowsOf = left[left.size() - 2], columnsOf = right.back();
  left.resize(left.size() - 2);
  right.resize(right.size() - 2);
  Numbers result = Broadcast(call, {&left, &right});
  if (a.size() > 1) result.push_back(rowsOf);
  if (b.size() > 1) result.push_back(columnsOf);
  return result;
}

void MatMul(Call& call) {
  call.Constant(2, call.size());
  call.Out(Shaped(MatMulShape(call, call.In(0).dims, call.In(1).dims)));
}

void AddLinearRules(Rules& rules) {
  rules["MatMul"] = MatMul;
  rules["Gemm"] = Gemm;
  rules["MatMulInteger"] = MatMulInteger;
  rules["QLinearMatMul"] = QLinearMatMul;
  rules["Einsum"] = Einsum;
  rules["Det"] = Det;
}

}  // namespace interleave::graph
