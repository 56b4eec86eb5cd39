// Pages of the lane control in a folder of their own.
#pragma once

#include <string>
#include <vector>

#include "control/control_page.h"
#include "test_models.h"

namespace interleave::test {

class ControlPages {
 public:
  std::string PathOf(const std::string& worker) { return dir_.File(worker + ".lane"); }
  MappedControlPage Open(const std::string& worker) { return MappedControlPage(PathOf(worker)); }
  std::vector<MappedControlPage> OpenAll(const std::vector<std::string>& workers) {
    std::vector<MappedControlPage> pages;
    for (const std::string& worker : workers) pages.push_back(Open(worker));
    return pages;
  }

 private:
  TempDir dir_;
};

}  // namespace interleave::test
