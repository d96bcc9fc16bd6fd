# Compiles each header of the core alone (target blitzio_headers), so that none relies on what its
# includers happen to have included before it. Each is included twice, which #pragma once allows.
file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/src
     ${PROJECT_SOURCE_DIR}/src/blitzio/*.hpp)
# Bodies of templates, included at the end of the header that declares them, are no entry points.
list(FILTER headers EXCLUDE REGEX "_inl\\.hpp$")
if(NOT BLITZIO_HAS_IO_URING)
  list(FILTER headers EXCLUDE REGEX "/driver/io_uring/")
endif()

set(units "")
foreach(header IN LISTS headers)
  string(REPLACE "/" "_" name ${header})
  set(unit ${PROJECT_BINARY_DIR}/headers/${name}.cpp)
  file(CONFIGURE OUTPUT ${unit} CONTENT "#include <${header}>\n#include <${header}>\n" @ONLY)
  list(APPEND units ${unit})
endforeach()

add_library(blitzio_headers OBJECT ${units})
target_compile_definitions(blitzio_headers PRIVATE BLITZIO_HAS_IO_URING=${BLITZIO_HAS_IO_URING})
target_link_libraries(blitzio_headers PRIVATE blitzio_core blitzio_flags ${io_uring_libraries})
