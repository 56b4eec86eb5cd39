// How far two answers to the same item are apart, measured by what rounding alone may change.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "item.h"
#include "session/signature.h"

namespace interleave {

struct AnswerTensor {
  ElementType type = ElementType::kFloat32;
  Shape shape;
  std::vector<std::byte> bytes;
};

using ProbeAnswer = std::map<std::size_t, AnswerTensor>;  // by output

// How large the numbers of each output are, over several answers. Columns (indexes of the last dimension) are kept
// apart, since a model may give thousands in one and fractions in the next; outputs without columns of their own count
// as one.
class AnswerScale {
 public:
  void Add(const ProbeAnswer& answer);
  double OfColumn(std::size_t output, std::size_t column) const;
  double OfOutput(std::size_t output) const;

 private:
  std::map<std::size_t, std::vector<double>> columns_;
};

// Rounding differs with the number of rows in a run, because other kernels are chosen: by at most these shares of what
// the column and the whole output hold, of the latter no more than 1 % of the column, or 10 times its own share. FP64
// as FP32: what gives it has often computed in FP32.
struct Tolerance {
  double ofColumn = 0;
  double ofOutput = 0;
};
Tolerance ToleranceOf(ElementType type);

struct Difference {
  double by = 0;     // 0: none; infinity where it has no number
  std::string text;  // which output differs most and by how much: `output "y" differs by 0.42 at most`
};

// Floating-point numbers are compared within the tolerance times `looseness`, all others exactly. NaN equals NaN,
// infinity the same infinity.
Difference DifferenceOf(const ProbeAnswer& expected, const ProbeAnswer& actual, const AnswerScale& scale,
                        double looseness, const Signature& signature);

}  // namespace interleave
