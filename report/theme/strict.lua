-- Refuses what would not reach every form of the report: raw HTML or TeX, images from the web.

local function refuse(el)
  if el.format:match("html") and el.text:match("^%s*<!%-%-.*%-%->%s*$") then return {} end
  error("raw " .. el.format .. " '" .. el.text:sub(1, 60) .. "' would not reach the PDF; write Markdown", 0)
end

return {{
  RawBlock = refuse,
  RawInline = refuse,
  Image = function(image)
    if image.src:match("^%a[%w+.-]*:") or image.src:match("^//") then
      error("external image '" .. image.src .. "'; the report has to stand alone", 0)
    end
  end,
}}
