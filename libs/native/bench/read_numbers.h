// What the programs of bench/ are told over stdin.
#pragma once

#include <istream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "coalesce/cost_table.h"

namespace interleave {

template <class Value>
std::vector<Value> Read(std::istream& from, std::size_t count) {
  std::vector<Value> values(count);
  for (Value& value : values) {
    if (!(from >> value)) throw std::invalid_argument("expected " + std::to_string(count) + " numbers");
  }
  return values;
}

// LENGTHS ROWS length... rows... ns...: the costs by length, then rows.
inline std::shared_ptr<const CostTable> ReadTable(std::istream& from) {
  const auto sizes = Read<std::size_t>(from, 2);
  CostGrid grid{.lengths = Read<std::int64_t>(from, sizes[0]), .rows = Read<std::int64_t>(from, sizes[1]), .runNs = {}};
  for (std::size_t i = 0; i < sizes[0]; ++i) grid.runNs.push_back(Read<double>(from, sizes[1]));
  return std::make_shared<const CostTable>(grid);
}

}  // namespace interleave
